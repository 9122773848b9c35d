import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator
from http import HTTPStatus

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from tests.api.chat import create_room, done, room_of, room_path, send, sync
from tests.api.listening import Listening, frame, listening, until
from tests.api.server import ApiServer, Person
from tidings.server.http.websocket import PATH, SocketProtocol

WIDE = '{"room":{"timeline":{"limit":100}}}'


@pytest.fixture
async def live(server: ApiServer) -> AsyncGenerator[Listening, None]:
    async with listening(server) as opened:
        yield opened


@pytest.fixture
async def quick_pings() -> AsyncGenerator[None, None]:
    usual, SocketProtocol.ping_interval_s = SocketProtocol.ping_interval_s, 0.3
    yield
    SocketProtocol.ping_interval_s = usual


async def pair(server: ApiServer) -> tuple[Person, Person, str]:
    alice, bob = await server.user("alice"), await server.user("bob")
    return alice, bob, await create_room(alice, bob)


def bodies(told: dict[str, object], room_id: str) -> list[str]:
    """The messages that an answer brings."""
    events = room_of(told, room_id).get("timeline", {}).get("events", [])
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


async def test_news_comes_as_it_happens(live: Listening) -> None:
    alice, bob, room_id = await pair(live.server)
    async with await live.socket(bob) as stream:
        first = await frame(stream)
        assert room_of(first, room_id)["timeline"]["events"]
        await send(alice, room_id, "one")
        told = await frame(stream)
        assert bodies(told, room_id) == ["one"]
        assert told == await sync(bob, first["next_batch"])
        await send(alice, room_id, "two")
        assert bodies(await frame(stream), room_id) == ["two"]


async def test_a_stream_goes_on_from_where_another_ended(live: Listening) -> None:
    alice, bob, room_id = await pair(live.server)
    since = (await sync(bob))["next_batch"]
    async with await live.socket(bob, since) as stream:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.recv(), 0.05)
        await send(alice, room_id, "one")
        since = (await frame(stream))["next_batch"]
    for body in ("two", "three"):
        await send(alice, room_id, body)
    async with await live.socket(bob, since) as stream:
        assert bodies(await frame(stream), room_id) == ["two", "three"]


async def test_the_whole_state_comes_once(live: Listening) -> None:
    alice, bob, room_id = await pair(live.server)
    since = (await sync(bob))["next_batch"]
    async with await live.socket(bob, since, full_state="true") as stream:
        whole = room_of(await frame(stream), room_id)["state"]["events"]
        assert {"m.room.create", "m.room.power_levels"} <= {event["type"] for event in whole}
        await send(alice, room_id, "later")
        assert room_of(await frame(stream), room_id)["state"]["events"] == []


async def test_members_are_told_once_in_a_stream_and_again_after_a_loss(live: Listening) -> None:
    alice, bob, room_id = await pair(live.server)
    lazy = '{"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true}}}'
    since = (await sync(bob, filter=lazy))["next_batch"]

    async def members(stream: object, body: str) -> list[str]:
        await send(alice, room_id, body)
        told = room_of(await frame(stream), room_id)["state"]["events"]  # type: ignore[arg-type]
        return [event["state_key"] for event in told if event["type"] == "m.room.member"]

    async with await live.socket(bob, since, filter=lazy) as stream:
        assert await members(stream, "one") == [alice.user_id]
        assert await members(stream, "two") == []
    async with await live.socket(bob, since, filter=lazy) as stream:
        told = room_of(await frame(stream), room_id)["state"]["events"]
        assert alice.user_id in {event["state_key"] for event in told}


async def test_a_token_may_stand_in_the_query(live: Listening) -> None:
    alice = await live.server.user("alice")
    async with await live.socket(Person(alice.http, {}), access_token=alice.token) as stream:
        assert "next_batch" in await frame(stream)


@pytest.mark.parametrize(
    ("query", "status", "errcode"),
    [
        ({"since": "yesterday"}, 400, "M_INVALID_PARAM"),
        ({"since": "s999999999"}, 400, "M_INVALID_PARAM"),
        ({"filter": "{"}, 400, "M_NOT_JSON"),
        ({"filter": "unknown"}, 400, "M_INVALID_PARAM"),
        ({"filter": "[]"}, 400, ""),
        ({"set_presence": "asleep"}, 400, "M_INVALID_PARAM"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    live: Listening, query: dict[str, str], status: int, errcode: str
) -> None:
    alice = await live.server.user("alice")
    with pytest.raises(InvalidStatus) as refused:
        await live.socket(alice, **query)
    assert refused.value.response.status_code == status
    assert errcode in (refused.value.response.body or b"").decode()
    await until(lambda: not live.state.connections)
    assert live.waiting == 0


@pytest.mark.parametrize(("token", "errcode"), [("", "M_MISSING_TOKEN"), ("x", "M_UNKNOWN_TOKEN")])
async def test_nobody_in_particular_is_refused(live: Listening, token: str, errcode: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await live.socket(
            Person(live.server.http, {}), **({"access_token": token} if token else {})
        )
    assert refused.value.response.status_code == HTTPStatus.UNAUTHORIZED
    assert errcode in (refused.value.response.body or b"").decode()


async def test_there_is_one_path(live: Listening) -> None:
    alice = await live.server.user("alice")
    reader, writer = await live.connection()
    writer.write(handshake(alice, "/_matrix/client/v3/sync"))
    assert b"404" in await reader.readline()
    writer.close()


async def test_whoever_logs_out_is_told_so(live: Listening) -> None:
    alice = await live.server.user("alice")
    async with await live.socket(alice) as stream:
        await frame(stream)
        await done(alice.post("/logout"))
        with pytest.raises(ConnectionClosed) as closed:
            await frame(stream)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason.startswith("M_UNKNOWN_TOKEN")
    assert live.waiting == 0


async def test_a_token_that_expires_ends_the_stream(live: Listening, quick_pings: None) -> None:
    await live.server.user("alice")
    alice = await live.server.log_in("alice", refresh_token=True)
    async with await live.socket(alice) as stream:
        await frame(stream)
        live.server.clock.advance(24 * 3_600_000)
        with pytest.raises(ConnectionClosed) as closed:
            await frame(stream)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason.startswith("M_UNKNOWN_TOKEN")


async def test_the_server_says_that_it_restarts(live: Listening) -> None:
    alice = await live.server.user("alice")
    async with await live.socket(alice) as stream:
        await frame(stream)
        for connection in tuple(live.state.connections):
            connection.shutdown()
        with pytest.raises(ConnectionClosed) as closed:
            await frame(stream)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_what_a_client_says_is_not_heard(live: Listening) -> None:
    alice, bob, room_id = await pair(live.server)
    async with await live.socket(bob) as stream:
        await frame(stream)
        await stream.send("hello")
        await stream.send(b"\x00\xff")
        await asyncio.wait_for(await stream.ping(), 10)
        await send(alice, room_id, "still here")
        assert bodies(await frame(stream), room_id) == ["still here"]


# --- clients that misbehave --------------------------------------------------------------------


def handshake(person: Person, path: str = PATH) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
        f"Authorization: Bearer {person.token}",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


async def raw_stream(
    live: Listening, person: Person, buffer_bytes: int | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket whose frames the test reads and writes itself."""
    reader, writer = await live.connection(buffer_bytes)
    writer.write(handshake(person))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    return reader, writer


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One frame of the server: opcode and data."""
    first, length = await reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2))
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8))
    return first & 15, await reader.readexactly(length)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\xff" * 64, 1002),
        (Frame(Opcode.TEXT, b"not masked").serialize(mask=False), 1002),
        (Frame(Opcode.TEXT, b"x" * 5000).serialize(mask=True), 1009),
        (bytes([0x82, 0xFF]) + (2**62).to_bytes(8) + bytes(4), 1009),
    ],
)
async def test_garbage_ends_the_connection(live: Listening, sent: bytes, code: int) -> None:
    alice = await live.server.user("alice")
    reader, writer = await raw_stream(live, alice)
    assert (await read_frame(reader))[0] == Opcode.TEXT
    writer.write(sent)
    opcode, data = await asyncio.wait_for(read_frame(reader), 10)
    assert (opcode, int.from_bytes(data[:2])) == (Opcode.CLOSE, code)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await until(lambda: not live.state.connections)
    assert live.waiting == 0
    writer.close()


async def test_whoever_vanishes_is_forgotten(live: Listening) -> None:
    alice, bob, room_id = await pair(live.server)
    streams = [await raw_stream(live, bob) for _ in range(3)]
    for reader, _ in streams:
        await read_frame(reader)
    assert live.waiting == 1
    for _, writer in streams:
        writer.transport.abort()
    await until(lambda: not live.state.connections)
    assert live.waiting == 0
    await send(alice, room_id, "into the void")


async def test_whoever_does_not_answer_pings_is_cut_off(live: Listening, quick_pings: None) -> None:
    alice = await live.server.user("alice")
    reader, writer = await raw_stream(live, alice)
    assert (await read_frame(reader))[0] == Opcode.TEXT
    assert (await read_frame(reader))[0] == Opcode.PING
    await until(lambda: not live.state.connections)
    assert live.waiting == 0
    writer.close()


async def test_a_slow_reader_is_cut_off_and_resumes_without_loss(
    live: Listening, quick_pings: None
) -> None:
    alice, bob, room_id = await pair(live.server)
    carol = await live.server.user("carol")
    await done(carol.post(f"{room_path(room_id)}/join"))
    said = [f"{number} {'x' * 50_000}" for number in range(40)]
    reader, writer = await raw_stream(live, bob, 4096)
    since = json.loads((await read_frame(reader))[1])["next_batch"]
    async with await live.socket(carol, filter=WIDE) as other:
        await frame(other)
        for body in said:
            await send(alice, room_id, body)
        heard: list[str] = []
        while len(heard) < len(said):
            heard += bodies(await frame(other), room_id)
        assert heard == said
        await until(lambda: live.waiting <= 1)
    got: list[str] = []
    while True:
        try:
            opcode, data = await asyncio.wait_for(read_frame(reader), 10)
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        if opcode == Opcode.TEXT:
            told = json.loads(data)
            assert not room_of(told, room_id)["timeline"]["limited"]
            got += bodies(told, room_id)
            since = told["next_batch"]
    writer.close()
    assert len(got) < len(said)
    async with await live.socket(bob, since, filter=WIDE) as stream:
        got += bodies(await frame(stream), room_id)
    assert got == said


async def test_a_long_answer_reaches_whoever_reads_slowly(
    live: Listening, quick_pings: None
) -> None:
    alice, bob, room_id = await pair(live.server)
    for number in range(60):
        await send(alice, room_id, f"{number} {'x' * 50_000}")
    reader, writer = await live.connection(4096)
    writer.write(handshake(bob, f"{PATH}?filter={WIDE.replace(' ', '')}"))
    await reader.readuntil(b"\r\n\r\n")
    head = await reader.readexactly(10)
    size, read = int.from_bytes(head[2:]), 0
    assert size > 3_000_000
    while read < size:  # about two seconds for it, many times the interval of pings
        read += len(await reader.read(min(size - read, 64 * 1024)))
        await asyncio.sleep(0.01)
    assert (await asyncio.wait_for(read_frame(reader), 10))[0] == Opcode.PING
    assert live.waiting == 1
    writer.close()


async def test_pings_that_nobody_reads_the_answers_of_do_not_pile_up(live: Listening) -> None:
    alice = await live.server.user("alice")
    _, writer = await raw_stream(live, alice, 4096)
    flood = Frame(Opcode.PING, b"x" * 100).serialize(mask=True) * 500

    async def ping_without_end() -> None:
        while True:
            writer.write(flood)
            await writer.drain()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ping_without_end(), 0.5)
    (connection,) = live.state.connections
    assert isinstance(connection, SocketProtocol)
    assert connection._transport.get_write_buffer_size() < 1_000_000
    writer.transport.abort()
    await until(lambda: not live.state.connections)
