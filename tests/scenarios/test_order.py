"""Many write and read at once: every member sees every message once, in the room's one order."""

import asyncio
import random
from typing import Any

from tests.api.chat import create_room, done, room_of, room_path, sync
from tests.api.listening import Listening, frame, listening
from tests.api.server import ApiServer, FakeClock, Person

PEOPLE = 5
ROOMS = 2
MESSAGES = 30
WIDE = {"filter": '{"room":{"timeline":{"limit":100}}}', "set_presence": "offline"}


class Reader:
    """Follows all rooms by one way of syncing, until every message has come."""

    def __init__(self, person: Person, rooms: list[str]) -> None:
        self.person = person
        self.seen: dict[str, list[str]] = {room_id: [] for room_id in rooms}
        self.since = ""

    @property
    def count(self) -> int:
        return sum(len(events) for events in self.seen.values())

    def take(self, told: dict[str, Any]) -> None:
        self.since = told["next_batch"]
        for room_id, seen in self.seen.items():
            timeline = room_of(told, room_id).get("timeline", {"events": [], "limited": False})
            assert not timeline["limited"], "the test is to have no gaps"
            events = timeline["events"]
            seen += [event["event_id"] for event in events if event["type"] == "m.room.message"]

    async def poll(self, total: int) -> None:
        """By long polls, out of memory."""
        while self.count < total:
            self.take(await sync(self.person, self.since, timeout=20_000, **WIDE))

    async def read_stored(self, total: int, server: ApiServer) -> None:
        """Out of the database, again and again, in the middle of everything."""
        pause = random.Random(self.person.user_id)
        feed = server.server.feed
        while self.count < total:
            feed.floor = feed.position
            self.take(await sync(self.person, self.since, **WIDE))
            await asyncio.sleep(pause.uniform(0, 0.01))

    async def stream(self, total: int, live: Listening) -> None:
        """By a WebSocket."""
        async with await live.socket(self.person, self.since, **WIDE) as socket:
            while self.count < total:
                self.take(await frame(socket))


async def send_all(person: Person, rooms: list[str], sent: dict[str, list[str]]) -> None:
    pick = random.Random(person.user_id)
    for number in range(MESSAGES):
        room_id = pick.choice(rooms)
        path = f"{room_path(room_id)}/send/m.room.message/{number}"
        answer = await done(person.put(path, {"msgtype": "m.text", "body": str(number)}))
        sent[room_id].append(answer["event_id"])


async def history(person: Person, room_id: str) -> list[str]:
    page = await done(person.get(f"{room_path(room_id)}/messages", dir="f", limit=1000))
    return [event["event_id"] for event in page["chunk"] if event["type"] == "m.room.message"]


async def play(server: ApiServer) -> None:
    people = [await server.user(f"user{number}") for number in range(PEOPLE)]
    rooms = [await create_room(*people) for _ in range(ROOMS)]
    sent: list[dict[str, list[str]]] = [{room_id: [] for room_id in rooms} for _ in people]
    total = PEOPLE * MESSAGES
    async with listening(server) as live, asyncio.timeout(60):
        readers = [Reader(person, rooms) for person in (*people, people[0], people[1])]
        for reader in readers:
            reader.since = (await sync(reader.person, **WIDE))["next_batch"]
        async with asyncio.TaskGroup() as tasks:
            for number, reader in enumerate(readers):
                ways = (
                    lambda reader=reader: reader.poll(total),
                    lambda reader=reader: reader.read_stored(total, server),
                    lambda reader=reader: reader.stream(total, live),
                )
                tasks.create_task(ways[number % 3]())
            for person, own in zip(people, sent, strict=True):
                tasks.create_task(send_all(person, rooms, own))
    for room_id in rooms:
        order = await history(people[0], room_id)
        assert len(order) == len(set(order))
        for reader in readers:
            assert reader.seen[room_id] == order
        for own in sent:
            assert [event_id for event_id in order if event_id in set(own[room_id])] == own[room_id]


async def test_one_order_for_all(db_url: str) -> None:
    server = await ApiServer.start(db_url, FakeClock())
    try:
        await play(server)
    finally:
        await server.close()
