"""The server is killed while people send; what it acknowledged is there, once and in order."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from tests.homeserver import ServerProcess

KILLS = 4
SENDERS = 4
V3 = "/_matrix/client/v3"


class Sender:
    """Sends numbered messages; what is not answered is sent again under the same transaction."""

    def __init__(self, client: httpx.AsyncClient, name: str, token: str) -> None:
        self.client = client
        self.name = name
        self.headers = {"Authorization": f"Bearer {token}"}
        self.acknowledged: list[str] = []
        self.retries = 0

    async def call(self, method: str, path: str, json: object = None) -> dict[str, object]:
        """Ask until there is an answer: a killed server is back in a moment."""
        while True:
            try:
                answer = await self.client.request(
                    method, V3 + path, json=json, headers=self.headers, timeout=10
                )
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                assert answer.is_success, answer.text
                body: dict[str, object] = answer.json()
                return body
            self.retries += 1
            await asyncio.sleep(0.02)

    async def send(self, room_id: str, number: int) -> str:
        """One message; its event id."""
        path = f"/rooms/{room_id}/send/m.room.message/txn-{number}"
        content = {"msgtype": "m.text", "body": f"{self.name} {number}"}
        return str((await self.call("PUT", path, content))["event_id"])

    async def send_on(self, room_id: str, stop: asyncio.Event) -> None:
        """Message after message, each when the last one is acknowledged."""
        while not stop.is_set():
            self.acknowledged.append(await self.send(room_id, len(self.acknowledged)))


@pytest.fixture
async def killable(db_url: str, tmp_path: Path) -> AsyncGenerator[ServerProcess, None]:
    process = ServerProcess(tmp_path / "data", "--database", db_url)
    await asyncio.to_thread(process.start)
    yield process
    await asyncio.to_thread(process.stop)


async def register(client: httpx.AsyncClient, name: str) -> Sender:
    body = {"username": name, "password": "pw", "auth": {"type": "m.login.dummy"}}
    answer = await client.post(f"{V3}/register", json=body)
    return Sender(client, name, answer.json()["access_token"])


async def whole_history(reader: Sender, room_id: str) -> list[dict[str, object]]:
    """Every event of a room, the oldest first."""
    events: list[dict[str, object]] = []
    token = ""
    while True:
        page = await reader.call("GET", f"/rooms/{room_id}/messages?dir=b&limit=500{token}")
        chunk = page["chunk"]
        assert isinstance(chunk, list)
        events += chunk
        if "end" not in page:
            return events[::-1]
        token = f"&from={page['end']}"


async def test_killed_while_people_send(killable: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=killable.base_url) as client:
        senders = [await register(client, f"sender{number}") for number in range(SENDERS)]
        room = await senders[0].call("POST", "/createRoom", {"preset": "public_chat"})
        room_id = str(room["room_id"])
        for sender in senders[1:]:
            await sender.call("POST", f"/join/{room_id}", {})
        before = str((await senders[0].call("GET", "/sync"))["next_batch"])
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for sender in senders:
                tasks.create_task(sender.send_on(room_id, stop))
            await kill_often(killable)
            stop.set()
        await check_history(senders, room_id)
        await check_repeats(senders, room_id)
        await check_token(senders[0], room_id, before)


async def kill_often(process: ServerProcess) -> None:
    moments = random.Random(20261122)
    for _ in range(KILLS):
        await asyncio.sleep(moments.uniform(0.2, 0.7))
        await asyncio.to_thread(process.kill)
        await asyncio.to_thread(process.start)
    await asyncio.sleep(0.3)


async def check_history(senders: list[Sender], room_id: str) -> None:
    events = await whole_history(senders[0], room_id)
    assert len({str(event["event_id"]) for event in events}) == len(events)
    for sender in senders:
        assert sender.acknowledged
        mine = [event for event in events if str(event.get("content")).find(f"{sender.name} ") >= 0]
        assert [event["event_id"] for event in mine] == sender.acknowledged
    assert sum(sender.retries for sender in senders) > 0, "no kill met a message in flight"


async def check_repeats(senders: list[Sender], room_id: str) -> None:
    for sender in senders:
        for number in {0, len(sender.acknowledged) // 2, len(sender.acknowledged) - 1}:
            assert await sender.send(room_id, number) == sender.acknowledged[number]


async def check_token(reader: Sender, room_id: str, before: str) -> None:
    """A token from before the first kill still gives what has happened since."""
    answer = await reader.call("GET", f"/sync?since={before}")
    rooms = answer["rooms"]
    assert isinstance(rooms, dict)
    timeline = rooms["join"][room_id]["timeline"]
    history = [str(event["event_id"]) for event in await whole_history(reader, room_id)]
    shown = [str(event["event_id"]) for event in timeline["events"]]
    assert timeline["limited"]
    assert shown == history[-len(shown) :]
