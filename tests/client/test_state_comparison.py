"""The law of sync on a real server: folding its increments gives what a fresh sync gives."""

import random
from contextlib import suppress

import pytest

from tests.homeserver import Homeserver
from tidings.client import content, rooms
from tidings.client.errors import Forbidden
from tidings.client.http import Http, QueryValue, v3
from tidings.client.messages import mark_read, redact, send
from tidings.client.state import ClientState, apply, fold
from tidings.client.state_comparison import normalise
from tidings.client.sync_response import SyncResponse
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import EventId, RoomId

LIMIT = 4


def test_the_token_and_what_is_for_one_reader_only_do_not_count() -> None:
    def told(token: str, **unsigned: object) -> ClientState:
        event = {"type": "m", "event_id": "$1", "content": {}, "unsigned": unsigned}
        room = {"timeline": {"events": [event]}}
        return apply(ClientState(), {"next_batch": token, "rooms": {"join": {"!r": room}}})

    assert normalise(told("s1", age=5)) == normalise(told("s2", transaction_id="t"))
    assert normalise(told("s1")) != normalise(ClientState())


class Play:
    """Alice and Bob do random things in a few rooms; Alice reads along."""

    def __init__(self, dice: random.Random, alice: Http, bob: Http) -> None:
        self.dice = dice
        self.alice = alice
        self.bob = bob
        self.rooms: list[RoomId] = []
        self.sent: dict[RoomId, list[EventId]] = {}
        self.seen = ClientState()

    async def open_rooms(self, count: int) -> None:
        for number in range(count):
            room = rooms.CreateRoom(name=f"room {number}", invite=[self.bob.user_id])
            room_id = await rooms.create(self.alice, room)
            self.rooms.append(room_id)
            self.sent[room_id] = [await send(self.alice, room_id, content.text("first"))]

    async def step(self) -> None:
        """One thing happens; what is not allowed just now does not."""
        room_id = self.dice.choice(self.rooms)
        actor = self.dice.choice([self.alice, self.bob])
        act = self.dice.choice(
            [self.say, self.say, self.name, self.read, self.take_back, self.note, self.move]
        )
        with suppress(Forbidden):
            await act(actor, room_id)
        if self.dice.random() < 0.3:
            await self.look()

    async def say(self, actor: Http, room_id: RoomId) -> None:
        self.sent[room_id].append(await send(actor, room_id, content.text("hello")))

    async def name(self, actor: Http, room_id: RoomId) -> None:
        body = {"topic": f"topic {self.dice.random()}"}
        await actor.put(v3("rooms", room_id, "state", "m.room.topic", ""), body, JsonObject)

    async def read(self, actor: Http, room_id: RoomId) -> None:
        await mark_read(actor, room_id, self.dice.choice(self.sent[room_id]))

    async def take_back(self, actor: Http, room_id: RoomId) -> None:
        await redact(actor, room_id, self.sent[room_id][-1])

    async def note(self, actor: Http, room_id: RoomId) -> None:
        path = v3("user", actor.user_id, "rooms", room_id, "account_data", "org.note")
        await actor.put(path, {"n": self.dice.random()}, JsonObject)

    async def move(self, actor: Http, room_id: RoomId) -> None:
        if actor is self.alice:
            await rooms.invite(actor, room_id, self.bob.user_id)
        elif self.dice.random() < 0.7:
            await rooms.join(actor, room_id)
        else:
            await rooms.leave(actor, room_id)

    async def look(self) -> None:
        self.seen = fold(self.seen, await self.sync(self.seen.since))

    async def sync(self, since: str | None) -> SyncResponse:
        filter_ = f'{{"room":{{"timeline":{{"limit":{LIMIT}}}}},"presence":{{"types":[]}}}}'
        # COMPAT(Synapse): another timeout each time, or an initial answer of before is given again.
        timeout_ms = self.dice.randrange(5) if since else self.dice.randrange(1000)
        query: dict[str, QueryValue] = {"filter": filter_, "timeout": timeout_ms}
        if since:
            query["since"] = since
        return await self.alice.get(v3("sync"), SyncResponse, query)


@pytest.mark.parametrize("seed", range(4))
async def test_increments_of_a_real_server_fold_to_its_fresh_sync(
    server: Homeserver, seed: int
) -> None:
    play = Play(random.Random(seed), await server.user("alice"), await server.user("bob"))
    await play.open_rooms(3)
    for _ in range(40):
        await play.step()
    await play.look()
    fresh = fold(ClientState(), await play.sync(None))
    assert normalise(play.seen, LIMIT) == normalise(fresh, LIMIT)
