"""Two server processes on one PostgreSQL database: one order, and no gap that a reader can miss."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from tests.homeserver import ServerProcess

V3 = "/_matrix/client/v3"
SENDERS = 4
MESSAGES = 40


class Two:
    """Two servers, and the same people on both."""

    def __init__(self, servers: list[ServerProcess]) -> None:
        self.clients = [httpx.AsyncClient(base_url=s.base_url, timeout=30) for s in servers]
        self.tokens: dict[str, str] = {}

    async def call(
        self, at: int, who: str, method: str, path: str, json: object = None
    ) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        url = V3 + path
        answer = await self.clients[at].request(method, url, json=json, headers=headers)
        assert answer.is_success, answer.text
        body: dict[str, object] = answer.json()
        return body

    async def register(self, at: int, who: str) -> None:
        body = {"username": who, "password": "pw", "auth": {"type": "m.login.dummy"}}
        answer = await self.clients[at].post(f"{V3}/register", json=body)
        self.tokens[who] = answer.json()["access_token"]

    async def send(self, at: int, who: str, room_id: str, txn: str) -> str:
        path = f"/rooms/{room_id}/send/m.room.message/{txn}"
        content = {"msgtype": "m.text", "body": f"{who} {txn}"}
        return str((await self.call(at, who, "PUT", path, content))["event_id"])


@pytest.fixture
async def two(postgres_url: str, tmp_path: Path) -> AsyncGenerator[Two, None]:
    servers = [ServerProcess(tmp_path / name, "--database", postgres_url) for name in "ab"]
    for server in servers:
        await asyncio.to_thread(server.start)
    both = Two(servers)
    yield both
    for client in both.clients:
        await client.aclose()
    for server in servers:
        await asyncio.to_thread(server.stop)


async def room_of(two: Two, people: list[str]) -> str:
    """A room whose members have come through the one server and the other."""
    for number, who in enumerate(people):
        await two.register(number % 2, who)
    made = await two.call(0, people[0], "POST", "/createRoom", {"preset": "public_chat"})
    for number, who in enumerate(people[1:]):
        await two.call(number % 2, who, "POST", f"/join/{made['room_id']}", {})
    return str(made["room_id"])


async def read_until(two: Two, at: int, who: str, room_id: str, count: int) -> list[str]:
    """The ids of so many messages, as one reader's syncs bring them."""
    seen: list[str] = []
    path = '/sync?timeout=20000&filter={"room":{"timeline":{"limit":100}}}'
    since = ""
    while len(seen) < count:
        answer = await two.call(at, who, "GET", path + since)
        since = f"&since={answer['next_batch']}"
        rooms = answer.get("rooms", {})
        assert isinstance(rooms, dict)
        timeline = rooms.get("join", {}).get(room_id, {}).get("timeline", {"events": []})
        assert not timeline.get("limited") or not seen, "the reader fell behind"
        seen += [e["event_id"] for e in timeline["events"] if e["type"] == "m.room.message"]
    return seen


async def test_a_message_sent_here_wakes_a_poll_there(two: Two) -> None:
    room_id = await room_of(two, ["ann", "bob"])
    since = (await two.call(1, "bob", "GET", "/sync"))["next_batch"]
    poll = asyncio.create_task(two.call(1, "bob", "GET", f"/sync?timeout=20000&since={since}"))
    await asyncio.sleep(0.3)
    event_id = await two.send(0, "ann", room_id, "one")
    answer = await asyncio.wait_for(poll, 10)
    assert event_id in str(answer)


async def test_a_transaction_is_one_wherever_it_is_repeated(two: Two) -> None:
    room_id = await room_of(two, ["ann", "bob"])
    first = await two.send(0, "ann", room_id, "same")
    assert await two.send(1, "ann", room_id, "same") == first
    both = await asyncio.gather(*(two.send(n % 2, "bob", room_id, "at once") for n in range(6)))
    assert len(set(both)) == 1


async def test_a_token_of_one_is_good_at_the_other_at_once(two: Two) -> None:
    room_id = await room_of(two, ["ann"])
    since = ""
    for number in range(10):
        await two.send(number % 2, "ann", room_id, str(number))
        answer = await two.call(number % 2, "ann", "GET", f"/sync?{since}")
        since = f"since={answer['next_batch']}"
        other = await two.call((number + 1) % 2, "ann", "GET", f"/sync?{since}")
        assert other["next_batch"] == answer["next_batch"]


async def test_readers_of_both_see_all_in_one_order(two: Two) -> None:
    people = [f"u{number}" for number in range(SENDERS)]
    room_id = await room_of(two, people)
    pick = random.Random(7)

    async def send_all(who: str) -> None:
        for number in range(MESSAGES):
            await two.send(pick.randrange(2), who, room_id, str(number))

    total = SENDERS * MESSAGES
    readers = [
        asyncio.create_task(read_until(two, at % 2, who, room_id, total))
        for at, who in enumerate(people)
    ]
    await asyncio.gather(*(send_all(who) for who in people))
    orders = await asyncio.wait_for(asyncio.gather(*readers), 60)
    assert all(order == orders[0] for order in orders)
    assert len(set(orders[0])) == total


async def test_a_session_ended_here_has_ended_there(two: Two) -> None:
    await room_of(two, ["ann"])
    await two.call(1, "ann", "GET", "/account/whoami")
    await two.call(0, "ann", "POST", "/logout")
    await asyncio.sleep(0.3)
    headers = {"Authorization": f"Bearer {two.tokens['ann']}"}
    answer = await two.clients[1].get(f"{V3}/account/whoami", headers=headers)
    assert answer.status_code == httpx.codes.UNAUTHORIZED
