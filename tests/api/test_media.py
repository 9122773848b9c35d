import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.api.media import (
    PIXEL,
    UPLOAD,
    V1,
    Wire,
    fetched,
    files_of,
    send_bytes,
    uploaded,
)
from tests.api.server import ApiServer, problem

StartServer = Callable[..., Awaitable[ApiServer]]
CREATE = "/_matrix/media/v1/create"


async def announced(person: object) -> str:
    answer = await person.post(CREATE)  # type: ignore[attr-defined]
    assert answer.status_code == 200, answer.text
    uri: str = answer.json()["content_uri"]
    return uri.removeprefix("mxc://")


async def test_what_is_uploaded_can_be_downloaded(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    path = await uploaded(alice, PIXEL, name="dot.png")
    answer = await fetched(bob, path)
    assert (answer.status_code, answer.content) == (200, PIXEL)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(PIXEL))
    assert answer.headers["content-disposition"] == 'inline; filename="dot.png"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none';")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_download_may_choose_the_name(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, b"text", "text/plain", "old.txt")
    answer = await fetched(alice, f"{path}/b%C3%A4r%2F..%2F%22new%22.txt")
    assert answer.headers["content-disposition"] == 'inline; filename="\\"new\\".txt"'
    answer = await fetched(alice, f"{path}/b%C3%A4r%0D%0A.txt")
    assert answer.headers["content-disposition"] == "inline; filename*=utf-8''b%C3%A4r.txt"


@pytest.mark.parametrize(
    ("kind", "shown", "disposition"),
    [
        ("text/html", "text/html", "attachment"),
        ("image/svg+xml", "image/svg+xml", "attachment"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8", "inline"),
        ("image/jpeg", "application/octet-stream", "attachment"),  # it is no JPEG
        ("not a type", "application/octet-stream", "attachment"),
        ("text/plain;\x0bx", "application/octet-stream", "attachment"),
        ("x" * 300 + "/y", "application/octet-stream", "attachment"),
        (None, "application/octet-stream", "attachment"),
    ],
)
async def test_only_harmless_types_are_shown(
    server: ApiServer, kind: str | None, shown: str, disposition: str
) -> None:
    alice = await server.user("alice")
    sent = await send_bytes(alice, b"<script>alert(1)</script>", kind)
    answer = await fetched(alice, sent.json()["content_uri"].removeprefix("mxc://"))
    assert answer.headers["content-type"] == shown
    assert answer.headers["content-disposition"] == disposition


async def test_without_a_token_there_is_no_media(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, PIXEL)
    nobody = server.nobody
    assert problem(await nobody.get(f"{V1}/download/{path}")) == (401, "M_MISSING_TOKEN")
    assert problem(await nobody.get(f"{V1}/config")) == (401, "M_MISSING_TOKEN")
    assert problem(await nobody.post(UPLOAD)) == (401, "M_MISSING_TOKEN")
    assert problem(await nobody.post(CREATE)) == (401, "M_MISSING_TOKEN")
    assert problem(await nobody.put(f"{UPLOAD}/{path}")) == (401, "M_MISSING_TOKEN")
    assert [len(file.read_bytes()) for file in files_of(server)] == [len(PIXEL)]


async def test_guests_look_and_do_not_upload(server: ApiServer) -> None:
    alice, guest = await server.user("alice"), await server.guest()
    path = await uploaded(alice, PIXEL)
    assert (await fetched(guest, path)).content == PIXEL
    assert problem(await send_bytes(guest, PIXEL)) == (403, "M_GUEST_ACCESS_FORBIDDEN")
    assert problem(await guest.post(CREATE)) == (403, "M_GUEST_ACCESS_FORBIDDEN")


@pytest.mark.parametrize(
    "path",
    ["localhost/nothing", "elsewhere.org/id", "localhost/..%2F..%2Fetc", "localhost/%2e%2e",
     "localhost/" + "x" * 300, "..%2F/x"],
)  # fmt: skip
async def test_media_that_is_not_there(server: ApiServer, path: str) -> None:
    alice = await server.user("alice")
    assert problem(await fetched(alice, path)) == (404, "M_NOT_FOUND")
    assert problem(await send_bytes(alice, PIXEL, path=f"{UPLOAD}/{path}")) == (404, "M_NOT_FOUND")
    assert files_of(server) == []


@pytest.mark.parametrize(
    ("wanted", "first", "end"),
    [("bytes=0-0", 0, 1), ("bytes=5-9", 5, 10), ("bytes=90-", 90, 100), ("bytes=-10", 90, 100),
     ("bytes=0-500", 0, 100), ("bytes=-500", 0, 100)],
)  # fmt: skip
async def test_a_range_of_a_file(server: ApiServer, wanted: str, first: int, end: int) -> None:
    alice = await server.user("alice")
    content = bytes(range(100))
    path = await uploaded(alice, content, "application/zip")
    answer = await fetched(alice, path, {"range": wanted})
    assert (answer.status_code, answer.content) == (206, content[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/100"


@pytest.mark.parametrize("wanted", ["bytes=5-1", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes"])
async def test_a_range_that_is_none_is_ignored(server: ApiServer, wanted: str) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, bytes(100))
    assert (await fetched(alice, path, {"range": wanted})).status_code == 200


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=200-300", "bytes=-0"])
async def test_a_range_behind_the_end(server: ApiServer, wanted: str) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, bytes(100))
    answer = await fetched(alice, path, {"range": wanted})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */100")


async def test_what_a_client_has_is_not_sent_again(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, bytes(100))
    etag = (await fetched(alice, path)).headers["etag"]
    again = await fetched(alice, path, {"if-none-match": f'"x", W/{etag}'})
    assert (again.status_code, again.content) == (304, b"")
    part = {"range": "bytes=0-1"}
    assert (await fetched(alice, path, {**part, "if-range": etag})).status_code == 206
    assert (await fetched(alice, path, {**part, "if-range": '"old"'})).status_code == 200
    head = await fetched(alice, path, method="HEAD")
    assert (head.status_code, head.headers["content-length"]) == (200, "100")


async def test_a_large_file_comes_back_whole(server: ApiServer) -> None:
    alice = await server.user("alice")
    content = bytes(range(256)) * 12_000

    async def pieces() -> AsyncIterator[bytes]:
        for first in range(0, len(content), 65_000):
            yield content[first : first + 65_000]

    sent = await send_bytes(alice, pieces(), "application/zip")
    path = sent.json()["content_uri"].removeprefix("mxc://")
    assert (await fetched(alice, path)).content == content
    part = await fetched(alice, path, {"range": "bytes=1000-2999999"})
    assert part.content == content[1000:3_000_000]


async def test_an_empty_file(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, b"")
    answer = await fetched(alice, path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_equal_content_is_kept_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    one, other = await uploaded(alice, PIXEL), await uploaded(bob, PIXEL)
    assert one != other
    assert len(files_of(server)) == 1
    assert (await fetched(alice, other)).content == PIXEL


async def test_a_file_that_was_lost_comes_back_with_the_next_upload(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, PIXEL)
    files_of(server)[0].unlink()
    assert problem(await fetched(alice, path)) == (404, "M_NOT_FOUND")
    again = await uploaded(alice, PIXEL)
    assert (await fetched(alice, path)).content == PIXEL
    assert (await fetched(alice, again)).content == PIXEL
    assert len(files_of(server)) == 1


async def test_too_large_an_upload_is_refused_unread(start_server: StartServer) -> None:
    server = await start_server(media={"upload_bytes_max": 1000})
    alice = await server.user("alice")
    assert (await alice.get(f"{V1}/config")).json() == {"m.upload.size": 1000}
    assert problem(await send_bytes(alice, bytes(1001))) == (413, "M_TOO_LARGE")
    wire = Wire(alice, "POST", UPLOAD)
    wire.scope["headers"].append((b"content-length", b"1001"))
    await server.server.asgi(wire.scope, wire.receive, wire.send)  # type: ignore[arg-type]
    assert (wire.sent[0]["status"], wire.reads) == (413, 0)

    async def undeclared() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield bytes(100)

    assert problem(await send_bytes(alice, undeclared())) == (413, "M_TOO_LARGE")
    assert (await send_bytes(alice, bytes(1000))).status_code == 200
    assert len(files_of(server)) == 1


async def test_an_upload_that_breaks_off_leaves_nothing(server: ApiServer) -> None:
    alice = await server.user("alice")
    wire = Wire(alice, "POST", UPLOAD, PIXEL, bytes(2_000_000))
    await server.server.asgi(wire.scope, wire.receive, wire.send)  # type: ignore[arg-type]
    assert wire.sent[0]["status"] == 400
    assert files_of(server) == []


async def test_a_quota(start_server: StartServer) -> None:
    server = await start_server(media={"user_bytes_max": 150})
    alice, bob = await server.user("alice"), await server.user("bob")
    await uploaded(alice, bytes(100))
    assert problem(await send_bytes(alice, bytes(51))) == (403, "M_FORBIDDEN")
    later = await announced(alice)
    assert problem(await send_bytes(alice, bytes(51), path=f"{UPLOAD}/{later}")) == (
        403, "M_FORBIDDEN",
    )  # fmt: skip
    both = await asyncio.gather(*(send_bytes(bob, bytes([n + 1] * 100)) for n in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 403]
    await uploaded(alice, bytes(50))
    assert len(files_of(server)) == 3


async def test_an_upload_that_was_announced(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    created = (await alice.post(CREATE)).json()
    assert created["unused_expires_at"] == server.clock.ms + 86_400_000
    path = created["content_uri"].removeprefix("mxc://")
    early = await fetched(bob, f"{V1}/download/{path}?timeout_ms=0")
    assert problem(early) == (504, "M_NOT_YET_UPLOADED")
    stranger = await send_bytes(bob, PIXEL, path=f"{UPLOAD}/{path}")
    assert problem(stranger) == (403, "M_FORBIDDEN")
    waiting = asyncio.create_task(fetched(bob, f"{V1}/download/{path}?timeout_ms=20000"))
    await asyncio.sleep(0.05)
    assert (await send_bytes(alice, PIXEL, path=f"{UPLOAD}/{path}")).json() == {}
    assert (await waiting).content == PIXEL
    again = await send_bytes(alice, b"other", path=f"{UPLOAD}/{path}")
    assert problem(again) == (409, "M_CANNOT_OVERWRITE_MEDIA")
    assert (await fetched(bob, path)).content == PIXEL
    assert len(files_of(server)) == 1


async def test_an_announced_upload_cannot_come_too_late(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await announced(alice)
    server.clock.advance(86_400_000)
    late = await send_bytes(alice, PIXEL, path=f"{UPLOAD}/{path}")
    assert problem(late) == (404, "M_NOT_FOUND")
    assert problem(await fetched(alice, path)) == (404, "M_NOT_FOUND")


async def test_only_so_many_uploads_are_announced(start_server: StartServer) -> None:
    server = await start_server(media={"pending_max": 2})
    alice = await server.user("alice")
    first, _ = await announced(alice), await announced(alice)
    assert problem(await alice.post(CREATE)) == (429, "M_LIMIT_EXCEEDED")
    assert (await send_bytes(alice, PIXEL, path=f"{UPLOAD}/{first}")).status_code == 200
    await announced(alice)
    server.clock.advance(86_400_000)
    await announced(alice)
