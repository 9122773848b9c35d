"""What memory knows of people is what the database knows, whatever happens."""

from random import Random
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import (
    create_room,
    done,
    in_thread,
    mentioning,
    read,
    redact,
    room_path,
    send,
    sync,
    user_path,
)
from tests.api.server import ApiServer, FakeClock, Person
from tidings.protocol.ids import RoomId, UserId
from tidings.server.live.users import Users, UserView


class Story:
    """Three people in two rooms who do whatever comes to their minds."""

    def __init__(self, server: ApiServer, random: Random) -> None:
        self.server = server
        self.random = random
        self.people: list[Person] = []
        self.rooms: list[str] = []
        self.events: dict[str, list[str]] = {}

    async def begin(self) -> None:
        self.people = [await self.server.user(name) for name in ("alice", "bob", "carol")]
        for _ in range(2):
            room_id = await create_room(*self.people)
            self.rooms.append(room_id)
            self.events[room_id] = [await send(self.people[0], room_id)]

    async def go_on(self) -> str:
        """Something happens; what it was."""
        often, rarely = [self.say, self.read, self.mention], [self.leave_and_come_back, self.ignore]
        others = [self.answer, self.read_thread, self.redact, self.change_rules]
        others += [self.edit, self.mention_room, self.watch_word]
        act = self.random.choice([*often, *often, *others, *rarely])
        who, room_id = self.random.choice(self.people), self.random.choice(self.rooms)
        await act(who, room_id)
        return f"{who.user_id} {act.__name__}"

    def any_event(self, room_id: str) -> str:
        return self.random.choice(self.events[room_id][-8:])

    async def say(self, who: Person, room_id: str, **content: object) -> None:
        self.events[room_id].append(await send(who, room_id, **content))

    async def answer(self, who: Person, room_id: str) -> None:
        await self.say(who, room_id, **in_thread(self.events[room_id][0]))

    async def mention(self, who: Person, room_id: str) -> None:
        named = mentioning(*self.random.sample(self.people, 2))
        thread = in_thread(self.events[room_id][0]) if self.random.random() < 0.3 else {}
        await self.say(who, room_id, **named, **thread)

    async def mention_room(self, who: Person, room_id: str) -> None:
        await self.say(who, room_id, **{"m.mentions": {"room": True}})

    async def edit(self, who: Person, room_id: str) -> None:
        named = mentioning(self.random.choice(self.people)) if self.random.random() < 0.5 else {}
        relation = {"rel_type": "m.replace", "event_id": self.any_event(room_id)}
        edited = {"m.relates_to": relation, "m.new_content": {"msgtype": "m.text", "body": "hi"}}
        await self.say(who, room_id, **edited, **named)

    async def watch_word(self, who: Person, room_id: str) -> None:
        if self.random.random() < 0.2:
            rule = {"pattern": "hello", "actions": ["notify", {"set_tweak": "highlight"}]}
            await done(who.put("/pushrules/global/content/hello", rule))

    async def read(self, who: Person, room_id: str) -> None:
        kind = self.random.choice(["m.read", "m.read.private"])
        await read(who, room_id, self.any_event(room_id), kind)

    async def read_thread(self, who: Person, room_id: str) -> None:
        thread_id = self.random.choice(["main", self.events[room_id][0]])
        path = f"{room_path(room_id)}/receipt/m.read/{quote(self.any_event(room_id))}"
        await who.post(path, {"thread_id": thread_id})  # it may be of the other thread

    async def redact(self, who: Person, room_id: str) -> None:
        await redact(self.people[0], room_id, self.any_event(room_id))

    async def leave_and_come_back(self, who: Person, room_id: str) -> None:
        if who is not self.people[0]:
            await done(who.post(f"{room_path(room_id)}/leave"))
            await done(who.post(f"{room_path(room_id)}/join"))

    async def change_rules(self, who: Person, room_id: str) -> None:
        if self.random.random() < 0.2:
            await who.request("PUT", f"/pushrules/global/room/{quote(room_id)}", {"actions": []})
            await who.request("DELETE", f"/pushrules/global/room/{quote(room_id)}")

    async def ignore(self, who: Person, room_id: str) -> None:
        if self.random.random() < 0.1:
            ignored: dict[str, object] = {self.random.choice(self.people).user_id: {}}
            path = f"{user_path(who)}/account_data/m.ignored_user_list"
            await done(who.put(path, {"ignored_users": ignored}))


def unread_of(view: UserView, loud: dict[RoomId, int]) -> dict[str, Any]:
    """All that is counted of what a user has not read."""
    return {
        room_id: (view.unread(room_id, loud[room_id]), view.unread_threads(room_id))
        for room_id in view.joined
    }


async def compare(users: Users, server: ApiServer, person: Person, told: str) -> None:
    user_id = UserId(person.user_id)
    inside = server.server
    async with inside.db.read() as tx:
        held = await users.load(tx, user_id)
        fresh = await users.read(tx, user_id, is_explicit=users.rules_of(user_id) is not None)
        loud = await inside.people.loud_of_rooms(tx, user_id)
    assert unread_of(held, loud) == unread_of(fresh, loud), told
    assert (held.joined, held.ignored) == (fresh.joined, fresh.ignored), told
    assert held.is_explicit == fresh.is_explicit
    for room_id, place in fresh.places.items():
        own = held.places[room_id]
        assert (own.membership, own.position, own.entered, own.forgotten) == (
            place.membership, place.position, place.entered, place.forgotten,
        ), told  # fmt: skip
        for thread_id in ("main", "$nothing"):
            assert own.read_upto(thread_id) == place.read_upto(thread_id), told


@pytest.mark.parametrize("seed", range(3))
async def test_memory_and_database_agree(db_url: str, seed: int) -> None:
    server = await ApiServer.start(db_url, FakeClock())
    try:
        story = Story(server, Random(seed))
        await story.begin()
        for person in story.people:
            await sync(person)
        for _ in range(40):
            told = await story.go_on()
            for person in story.people:
                await compare(server.server.users, server, person, told)
    finally:
        await server.close()


async def test_what_is_committed_while_a_view_is_read_is_not_lost(db_url: str) -> None:
    server = await ApiServer.start(db_url, FakeClock())
    try:
        alice, bob = await server.user("alice"), await server.user("bob")
        room_id = RoomId(await create_room(alice, bob))
        inside, user_id = server.server, UserId(bob.user_id)
        inside.users.clear()
        async with inside.db.read() as tx:
            before = await tx.snapshot_position()
            await send(alice, room_id, **mentioning(bob))  # after the snapshot
            view = await inside.users.load(tx, user_id)
        assert view.position == before
        assert inside.users.held(user_id) is view
        loud = inside.rooms.held(room_id)
        assert loud is not None
        assert view.unread(room_id, loud.tip.loud).highlights == 1
    finally:
        await server.close()


async def test_a_view_older_than_the_feed_is_not_kept(db_url: str) -> None:
    server = await ApiServer.start(db_url, FakeClock())
    try:
        alice = await server.user("alice")
        await create_room(alice)
        inside = server.server
        inside.users.clear()
        async with inside.db.read() as tx:
            await tx.snapshot_position()
            await create_room(alice)
            inside.feed.reset(inside.feed.position)
            await inside.users.load(tx, UserId(alice.user_id))
        assert inside.users.held(UserId(alice.user_id)) is None
    finally:
        await server.close()


async def test_becoming_explicit_while_a_view_is_read_is_not_overlooked(db_url: str) -> None:
    server = await ApiServer.start(db_url, FakeClock())
    try:
        alice, bob = await server.user("alice"), await server.user("bob")
        room_id = await create_room(alice, bob)
        await send(alice, room_id)
        inside, user_id = server.server, UserId(bob.user_id)
        inside.users.clear()
        async with inside.db.read() as tx:
            await tx.snapshot_position()
            await done(bob.put("/pushrules/global/room/!a:b", {"actions": []}))
            await inside.users.load(tx, user_id)
        assert inside.users.held(user_id) is None
        await compare(inside.users, server, bob, "afterwards")
    finally:
        await server.close()
