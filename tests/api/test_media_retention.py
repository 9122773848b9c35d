"""What the sweep takes and what it leaves, as clients see it."""

import os
import time
from collections.abc import Awaitable, Callable

from tests.api.media import PIXEL, V1, fetched, files_of, uploaded
from tests.api.pictures import picture
from tests.api.server import ApiServer, problem
from tidings.server.services.media_retention import DAY_MS, Swept

StartServer = Callable[..., Awaitable[ApiServer]]


def disk_ms() -> int:
    return time.time_ns() // 1_000_000


async def sweep(server: ApiServer, ahead_ms: int = 0) -> Swept:
    await server.server.media.note_uses()
    return await server.server.media_retention.sweep(disk_ms() + ahead_ms)


async def test_everything_is_kept_unless_told_otherwise(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, PIXEL)
    server.clock.advance(1000 * DAY_MS)
    assert await sweep(server, 1000 * DAY_MS) == Swept()
    unused = await server.server.media_retention.unused(30, 10)
    assert [row.media_id for row in unused] == [path.partition("/")[2]]  # a preview, no more
    assert (await fetched(alice, path)).content == PIXEL


async def test_what_nobody_looks_at_goes_with_its_file_and_thumbnails(
    start_server: StartServer,
) -> None:
    server = await start_server(media={"retention_days": 30})
    alice = await server.user("alice")
    unused, used = await uploaded(alice, picture(64, 64)), await uploaded(alice, b"used")
    await fetched(alice, f"{V1}/thumbnail/{unused}?width=16&height=16&method=crop")
    server.clock.advance(20 * DAY_MS)
    await fetched(alice, used)
    assert await sweep(server) == Swept()
    server.clock.advance(20 * DAY_MS)
    assert await sweep(server) == Swept(media=1, files=2)
    assert problem(await fetched(alice, unused)) == (404, "M_NOT_FOUND")
    assert (await fetched(alice, used)).content == b"used"
    assert len(files_of(server)) == 1


async def test_avatars_stay(start_server: StartServer) -> None:
    server = await start_server(media={"retention_days": 30})
    alice = await server.user("alice")
    face, room = await uploaded(alice, b"face"), await uploaded(alice, b"room")
    await alice.put(f"/profile/{alice.user_id}/avatar_url", {"avatar_url": f"mxc://{face}"})
    avatar = {"type": "m.room.avatar", "content": {"url": f"mxc://{room}"}}
    await alice.post("/createRoom", {"initial_state": [avatar]})
    server.clock.advance(60 * DAY_MS)
    assert await sweep(server) == Swept()
    assert (await fetched(alice, face)).content == b"face"


async def test_a_file_lives_as_long_as_anything_shows_it(start_server: StartServer) -> None:
    server = await start_server(media={"retention_days": 30})
    alice = await server.user("alice")
    old = await uploaded(alice, PIXEL)
    server.clock.advance(40 * DAY_MS)
    new = await uploaded(alice, PIXEL)
    assert await sweep(server) == Swept(media=1)
    assert problem(await fetched(alice, old)) == (404, "M_NOT_FOUND")
    assert (await fetched(alice, new)).content == PIXEL


async def test_an_upload_that_never_came_is_forgotten(server: ApiServer) -> None:
    alice = await server.user("alice")
    await alice.post("/_matrix/media/v1/create")
    server.clock.advance(DAY_MS)
    assert await sweep(server) == Swept(announced=1)


async def test_files_the_database_does_not_know_are_swept_when_old(server: ApiServer) -> None:
    # What a server leaves behind that is killed between writing a file and making it known.
    alice = await server.user("alice")
    path = await uploaded(alice, PIXEL)
    known = files_of(server)[0]
    lost = known.parent.parent / "00" / f"{'0' * 64}.lost"
    lost.parent.mkdir()
    lost.write_bytes(b"lost")
    assert await sweep(server) == Swept()
    two_days_ago = time.time() - 2 * 86_400
    for file in (lost, known):
        os.utime(file, (two_days_ago, two_days_ago))
    assert await sweep(server) == Swept(files=1)
    assert files_of(server) == [known]
    assert (await fetched(alice, path)).content == PIXEL


async def test_what_is_quarantined_is_not_shown(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, picture(64, 64))
    thumbnail = f"{V1}/thumbnail/{path}?width=16&height=16"
    assert (await fetched(alice, thumbnail)).status_code == 200
    media_id = path.partition("/")[2]
    assert await server.server.media.quarantine(media_id)
    for hidden in (path, thumbnail):
        assert problem(await fetched(alice, hidden)) == (404, "M_NOT_FOUND")
    assert await server.server.media.release(media_id)
    assert (await fetched(alice, path)).status_code == 200
    assert not await server.server.media.quarantine("nothing")
