"""Clients that stall, vanish or send without end, at the level of their connection."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.api.chat import create_room, send, sync
from tests.api.listening import Listening, listening, until
from tests.api.server import ApiServer, FakeClock, Person
from tidings.server.http.connection import HttpConnection, close_idle
from tidings.server.http.websocket import PATH


@pytest.fixture
async def live(sqlite_url: str) -> AsyncGenerator[Listening, None]:
    server = await ApiServer.start(sqlite_url, FakeClock())
    async with listening(server) as opened:
        yield opened
    await server.close()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "tidings.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


def request(person: Person, path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {person.token}",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode()


async def poll_path(person: Person, timeout_ms: int = 30_000) -> str:
    since = (await sync(person))["next_batch"]
    return f"/_matrix/client/v3/sync?timeout={timeout_ms}&since={since}"


async def status_of(reader: asyncio.StreamReader) -> int:
    return int((await asyncio.wait_for(reader.readline(), 10)).split()[1])


async def test_whoever_vanishes_during_a_long_poll_is_forgotten(live: Listening) -> None:
    alice = await live.server.user("alice")
    path = await poll_path(alice)
    for how in ("abort", "close"):
        reader, writer = await live.connection()
        writer.write(request(alice, path))
        await until(lambda: live.waiting == 1)
        getattr(writer.transport, how)()
        await until(lambda: live.waiting == 0)
        await until(lambda: not live.state.connections)
        assert reader is not None


async def test_whoever_asks_twice_at_once_and_vanishes_is_forgotten(live: Listening) -> None:
    alice = await live.server.user("alice")
    path = await poll_path(alice, 300)  # while a request waits for another, nothing is read
    for first, second in ((path, path), (path, f"{path}&filter=%7B%7D"), (f"{path}&a=b", "/x")):
        _, writer = await live.connection()
        writer.write(request(alice, first))
        await until(lambda: live.waiting == 1)
        writer.write(request(alice, second))
        await asyncio.sleep(0.02)
        writer.transport.abort()
        await until(lambda: live.waiting == 0)
        await until(lambda: not live.state.connections)


async def test_requests_sent_ahead_are_answered_in_order(live: Listening) -> None:
    alice, bob = await live.server.user("alice"), await live.server.user("bob")
    room_id = await create_room(alice, bob)
    path = await poll_path(bob)
    reader, writer = await live.connection()
    writer.write(request(bob, path) + request(bob, "/nowhere") + request(bob, PATH))
    await until(lambda: live.waiting == 1)
    await send(alice, room_id, "now")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 200 " in head
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
    assert b'"now"' in await reader.readexactly(length)
    assert await status_of(reader) == 404
    writer.close()


async def cut_off(live: Listening, sent: bytes, act: Callable[[], Awaitable[None]]) -> None:
    """Send, do something, and be cut off."""
    reader, writer = await live.connection()
    writer.write(sent)
    await until(lambda: bool(live.state.connections))
    await act()
    await asyncio.wait_for(reader.read(), 10)
    await until(lambda: not live.state.connections)
    writer.close()


@pytest.mark.parametrize(
    ("sent", "is_cut"),
    [
        (b"", True),
        (b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\n", True),
        (b"PUT /_matrix/client/v3/x HTTP/1.1\r\nContent-Length: 10\r\n\r\n{", True),
        (b"POST /_matrix/client/v3/login HTTP/1.1\r\nContent-Length: 10\r\n\r\n{", True),
        (
            b"POST /_matrix/client/v3/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
            True,
        ),
    ],
)
async def test_whoever_stalls_is_cut_off(live: Listening, sent: bytes, is_cut: bool) -> None:
    tasks = len(asyncio.all_tasks())
    closing = asyncio.create_task(close_idle(live.state.connections, 0.1))

    async def nothing() -> None:
        return

    await cut_off(live, sent, nothing)
    closing.cancel()
    await until(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_a_long_poll_is_not_idle(live: Listening) -> None:
    alice = await live.server.user("alice")
    reader, writer = await live.connection()
    closing = asyncio.create_task(close_idle(live.state.connections, 0.05))
    writer.write(request(alice, await poll_path(alice, 300)))
    assert await status_of(reader) == 200
    closing.cancel()
    writer.close()


async def test_a_body_may_take_its_time(live: Listening) -> None:
    alice = await live.server.user("alice")
    reader, writer = await live.connection()
    closing = asyncio.create_task(close_idle(live.state.connections, 0.2))
    body = b'{"displayname":"Alice"}'
    path = f"/_matrix/client/v3/profile/{alice.user_id}/displayname"
    writer.write(request(alice, path, f"Content-Length: {len(body)}", method="PUT"))
    for byte in body:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)
    assert await status_of(reader) == 200
    closing.cancel()
    writer.close()


@pytest.mark.parametrize(
    "endless", [b"GET /" + b"a" * 65_536, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 9_000]
)
async def test_a_head_has_an_end(live: Listening, endless: bytes) -> None:
    reader, writer = await live.connection()
    writer.write(endless)
    await asyncio.wait_for(reader.read(), 10)
    await until(lambda: not live.state.connections)
    writer.close()


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\x01\x02\x03\r\n\r\n", b"GET\r\n\r\n", b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00"],
)
async def test_garbage_is_refused_and_the_connection_ends(live: Listening, garbage: bytes) -> None:
    reader, writer = await live.connection()
    writer.write(garbage)
    assert b" 400 " in await asyncio.wait_for(reader.read(), 10)
    await until(lambda: not live.state.connections)
    writer.close()


async def test_a_server_that_stops_answers_its_long_polls(live: Listening) -> None:
    readers = []
    for name, more in (("alice", ""), ("bob", "&filter=%7B%22presence%22:%7B%7D%7D")):
        person = await live.server.user(name)
        reader, writer = await live.connection()
        writer.write(request(person, await poll_path(person) + more))
        readers.append((reader, writer))
    await until(lambda: live.waiting == 2)
    for connection in tuple(live.state.connections):
        assert isinstance(connection, HttpConnection)
        connection.shutdown()
    for reader, writer in readers:
        assert await status_of(reader) == 200
        writer.close()
    assert live.waiting == 0
