from base64 import b64encode
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime

import httpx
import pytest

from tests.api.media import PIXEL, Wire, bearer, fetched, files_of, send_bytes
from tests.api.server import ApiServer, Person, problem

StartServer = Callable[..., Awaitable[ApiServer]]
PATH = "/_matrix/client/unstable/chat.tidings/uploads"
TUS = {"tus-resumable": "1.0.0"}
PART = {**TUS, "content-type": "application/offset+octet-stream"}


def metadata(**told: str) -> str:
    return ",".join(f"{name} {b64encode(text.encode()).decode()}" for name, text in told.items())


async def begin(person: Person, length: int, **told: str) -> httpx.Response:
    headers = bearer(person, **TUS, **{"upload-length": str(length)})
    if told:
        headers["upload-metadata"] = metadata(**told)
    return await person.http.post(PATH, headers=headers)


async def begun(person: Person, length: int, **told: str) -> tuple[str, str]:
    """Where the parts go, and the path of the media."""
    answer = await begin(person, length, **told)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"], answer.json()["content_uri"].removeprefix("mxc://")


async def append(person: Person, where: str, offset: int, content: bytes) -> httpx.Response:
    headers = bearer(person, **PART, **{"upload-offset": str(offset)})
    return await person.http.patch(where, headers=headers, content=content)


async def progress(person: Person, where: str) -> int:
    answer = await person.http.head(where, headers=bearer(person, **TUS))
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


async def test_a_file_comes_in_parts(server: ApiServer) -> None:
    alice = await server.user("alice")
    where, path = await begun(alice, len(PIXEL), filename="dot.png", filetype="image/png")
    assert await progress(alice, where) == 0
    first = await append(alice, where, 0, PIXEL[:20])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "20")
    early = await fetched(alice, f"/_matrix/client/v1/media/download/{path}?timeout_ms=0")
    assert problem(early) == (504, "M_NOT_YET_UPLOADED")
    last = await append(alice, where, 20, PIXEL[20:])
    assert last.headers["upload-offset"] == str(len(PIXEL))
    assert last.headers["tus-resumable"] == "1.0.0"
    answer = await fetched(alice, path)
    assert answer.content == PIXEL
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == 'inline; filename="dot.png"'
    assert await progress(alice, where) == len(PIXEL)
    assert (await append(alice, where, len(PIXEL), b"")).status_code == 204
    assert len(files_of(server)) == 1


async def test_what_came_before_the_connection_was_lost_is_kept(
    start_server: StartServer,
) -> None:
    server = await start_server()
    alice = await server.user("alice")
    content = bytes(range(256)) * 4000
    where, path = await begun(alice, len(content))
    wire = Wire(alice, "PATCH", where, content[:300_000], content[300_000:700_000])
    for name, value in {**PART, "upload-offset": "0"}.items():
        wire.scope["headers"].append((name.encode(), value.encode()))
    await server.server.asgi(wire.scope, wire.receive, wire.send)  # type: ignore[arg-type]
    assert wire.sent[0]["status"] == 400
    again = await start_server(data_dir=server.server.config.data_dir)  # the server starts anew
    same = again.holding(alice.token)
    assert await progress(same, where) == 700_000
    assert (await append(same, where, 700_000, content[700_000:])).status_code == 204
    assert (await fetched(same, path)).content == content


async def test_what_was_written_and_not_noted_is_sent_again(server: ApiServer) -> None:
    # A server that was killed may have written more than it noted.
    alice = await server.user("alice")
    where, path = await begun(alice, 10)
    await append(alice, where, 0, b"01234")
    part = files_of(server)[0]
    part.write_bytes(b"01234xxxx")
    assert (await append(alice, where, 5, b"56789")).status_code == 204
    assert (await fetched(alice, path)).content == b"0123456789"


async def test_an_upload_that_was_complete_before_it_was_known_is_finished(
    server: ApiServer,
) -> None:
    alice = await server.user("alice")
    where, path = await begun(alice, 10)
    await append(alice, where, 0, b"01234")
    files_of(server)[0].write_bytes(b"0123456789")

    async def note(tx):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        await tx.execute("UPDATE resumable_uploads SET offset_bytes = 10")

    await server.server.db.write(note)
    assert await progress(alice, where) == 10
    assert (await fetched(alice, path)).content == b"0123456789"


@pytest.mark.parametrize("offset", [0, 4, 6, 10])
async def test_parts_follow_on_each_other(server: ApiServer, offset: int) -> None:
    alice = await server.user("alice")
    where, _ = await begun(alice, 10)
    await append(alice, where, 0, b"01234")
    assert (await append(alice, where, offset, b"x")).status_code == 409
    assert await progress(alice, where) == 5


async def test_no_more_comes_than_was_announced(server: ApiServer) -> None:
    alice = await server.user("alice")
    where, _ = await begun(alice, 5)
    assert problem(await append(alice, where, 0, b"012345")) == (400, "M_INVALID_PARAM")
    assert await progress(alice, where) == 0


async def test_an_empty_file(server: ApiServer) -> None:
    alice = await server.user("alice")
    _, path = await begun(alice, 0)
    assert (await fetched(alice, path)).content == b""


async def test_an_upload_can_be_given_up(server: ApiServer) -> None:
    alice = await server.user("alice")
    where, path = await begun(alice, 10)
    await append(alice, where, 0, b"01234")
    gone = await alice.http.delete(where, headers=bearer(alice, **TUS))
    assert gone.status_code == 204
    assert files_of(server) == []
    assert problem(await append(alice, where, 5, b"56789")) == (404, "M_NOT_FOUND")
    assert problem(await fetched(alice, path)) == (404, "M_NOT_FOUND")


async def test_uploads_expire(server: ApiServer) -> None:
    alice = await server.user("alice")
    answer = await begin(alice, 10)
    where = answer.headers["location"]
    expires = parsedate_to_datetime(answer.headers["upload-expires"])
    assert expires.timestamp() * 1000 == server.clock.ms + 86_400_000
    await append(alice, where, 0, b"01234")
    server.clock.advance(86_400_000)
    assert problem(await append(alice, where, 5, b"56789")) == (404, "M_NOT_FOUND")
    await server.server.media_retention.sweep(2**50)
    assert files_of(server) == []


async def test_others_uploads_are_not_there(server: ApiServer) -> None:
    alice, bob, guest = await server.user("alice"), await server.user("bob"), await server.guest()
    where, _ = await begun(alice, 10)
    assert problem(await append(bob, where, 0, b"0123456789")) == (404, "M_NOT_FOUND")
    for method in ("GET", "DELETE"):
        answer = await bob.http.request(method, where, headers=bearer(bob, **TUS))
        assert problem(answer) == (404, "M_NOT_FOUND")
    assert problem(await begin(guest, 10)) == (403, "M_GUEST_ACCESS_FORBIDDEN")
    assert problem(await begin(server.nobody, 10))[0] == 401
    assert await progress(alice, where) == 0
    stolen = await send_bytes(bob, PIXEL, path=where.replace(PATH, "/_matrix/media/v3/upload/x"))
    assert stolen.status_code == 404


async def test_limits(start_server: StartServer) -> None:
    limits = {"resumable_bytes_max": 1000, "upload_bytes_max": 10, "user_bytes_max": 900,
              "pending_max": 2}  # fmt: skip
    server = await start_server(media=limits)
    alice = await server.user("alice")
    assert problem(await begin(alice, 1001)) == (413, "M_TOO_LARGE")
    assert problem(await begin(alice, 901)) == (403, "M_FORBIDDEN")
    where, path = await begun(alice, 500)
    await begun(alice, 500)
    assert problem(await begin(alice, 1)) == (429, "M_LIMIT_EXCEEDED")
    assert (await append(alice, where, 0, bytes(500))).status_code == 204
    assert (await fetched(alice, path)).content == bytes(500)
    told = await alice.http.options(PATH)
    assert told.headers["tus-max-size"] == "1000"
    assert told.headers["tus-extension"] == "creation,termination,expiration"
    assert told.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"tus-resumable": "0.2.2"}, 412),
        ({"upload-length": "-1"}, 400),
        ({"upload-length": "x"}, 400),
        ({"upload-length": "9" * 30}, 400),
        ({"upload-metadata": "filename ???"}, 400),
        ({"upload-metadata": "filename /w=="}, 400),
        ({"upload-metadata": "x" * 5000}, 400),
    ],
)
async def test_headers_that_cannot_be_read(
    server: ApiServer, changed: dict[str, str], status: int
) -> None:
    alice = await server.user("alice")
    headers = bearer(alice, **{**TUS, "upload-length": "5", **changed})
    answer = await alice.http.post(PATH, headers=headers)
    assert answer.status_code == status
    assert answer.headers["tus-version"] == "1.0.0"


async def test_a_part_says_that_it_is_one(server: ApiServer) -> None:
    alice = await server.user("alice")
    where, _ = await begun(alice, 5)
    headers = bearer(alice, **TUS, **{"upload-offset": "0", "content-type": "image/png"})
    answer = await alice.http.patch(where, headers=headers, content=b"01234")
    assert answer.status_code == 415
    assert await progress(alice, where) == 0
