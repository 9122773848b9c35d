"""Rooms, members and aliases as they are kept."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomAlias, RoomId, StreamPosition, UserId
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.room_list import RoomListStore
from tidings.server.storage.rooms import RoomRow, RoomStore
from tidings.server.storage.sqlite import SqliteDriver

T = TypeVar("T")
ALICE, BOB = UserId("@alice:here"), UserId("@bob:here")
ROOM, OTHER = RoomId("!room:here"), RoomId("!other:here")
ALIAS = RoomAlias("#alias:here")

rooms, room_list = RoomStore(), RoomListStore()


@pytest.fixture
async def db(db_url: str) -> AsyncGenerator[Database, None]:
    is_sqlite = db_url.startswith("sqlite")
    made = Database(SqliteDriver(Path(db_url[10:])) if is_sqlite else PostgresDriver(db_url))
    await made.open()
    yield made
    await made.close()


async def ask(db: Database, question: Callable[[ReadTx], Awaitable[T]]) -> T:
    async with db.read() as tx:
        return await question(tx)


async def set_member(db: Database, user_id: UserId, membership: str, room_id: RoomId = ROOM) -> int:
    """Give somebody a place in a room; the position of the change."""

    async def recipe(tx: WriteTx) -> int:
        position = tx.next_position()
        event = Event(
            position=position,
            event_id=f"${position}",  # type: ignore[arg-type]
            room_id=room_id,
            type="m.room.member",
            state_key=user_id,
            sender=user_id,
            origin_server_ts=0,
            json=msgspec.json.encode({"content": {"membership": membership}}),
        )
        await rooms.set_member(tx, event, membership)
        await rooms.set_state(tx, event)
        return position

    return await db.write(recipe)


async def test_a_place_begins_where_the_membership_did(db: Database) -> None:
    await set_member(db, ALICE, "invite")
    entered = await set_member(db, ALICE, "join")
    latest = await set_member(db, ALICE, "join")
    place = await ask(db, lambda tx: rooms.find_membership(tx, ALICE, ROOM))
    assert place is not None
    assert (place.membership, place.entered, place.position) == ("join", entered, latest)
    assert await ask(db, lambda tx: rooms.find_membership(tx, BOB, ROOM)) is None
    assert [row.room_id for row in await ask(db, lambda tx: rooms.memberships(tx, ALICE))] == [ROOM]


async def test_a_room_is_forgotten_until_it_is_entered_again(db: Database) -> None:
    await set_member(db, ALICE, "join")
    await set_member(db, ALICE, "leave")

    async def forget(tx: WriteTx) -> StreamPosition:
        position = tx.next_position()
        await rooms.set_forgotten(tx, ALICE, ROOM, position)
        return position

    position = await db.write(forget)
    assert await ask(db, lambda tx: rooms.forgotten(tx, 0, position)) == [(position, ALICE, ROOM)]
    assert await ask(db, lambda tx: rooms.forgotten(tx, position, 99)) == []
    await set_member(db, ALICE, "invite")
    place = await ask(db, lambda tx: rooms.find_membership(tx, ALICE, ROOM))
    assert place is not None
    assert place.forgotten == 0


async def test_being_in_one_of_several_rooms(db: Database) -> None:
    await set_member(db, ALICE, "join", OTHER)
    await set_member(db, BOB, "invite", OTHER)
    both = [ROOM, OTHER]
    assert await ask(db, lambda tx: rooms.is_joined_to_any(tx, ALICE, both))
    assert not await ask(db, lambda tx: rooms.is_joined_to_any(tx, ALICE, [ROOM]))
    assert not await ask(db, lambda tx: rooms.is_joined_to_any(tx, BOB, both))


async def test_an_alias_is_given_once(db: Database) -> None:
    async def recipe(tx: WriteTx) -> list[bool]:
        return [await rooms.insert_alias(tx, ALIAS, each, ALICE, 5) for each in (ROOM, OTHER)]

    assert await db.write(recipe) == [True, False]
    assert await ask(db, lambda tx: rooms.find_alias(tx, ALIAS)) == (ROOM, ALICE)
    assert await ask(db, lambda tx: rooms.aliases_of(tx, ROOM)) == [ALIAS]
    await db.write(lambda tx: rooms.delete_alias(tx, ALIAS))
    assert await ask(db, lambda tx: rooms.find_alias(tx, ALIAS)) is None
    assert await ask(db, lambda tx: rooms.aliases_of(tx, ROOM)) == []


async def test_published_rooms_with_members_are_listed(db: Database) -> None:
    async def found(tx: WriteTx) -> None:
        for room_id in (ROOM, OTHER, RoomId("!empty:here")):
            await rooms.insert(tx, RoomRow(room_id, "11", ALICE, 5, 0))
            await rooms.set_published(tx, room_id, published=True)

    await db.write(found)
    await set_member(db, ALICE, "join")
    await set_member(db, ALICE, "join", OTHER)
    await set_member(db, BOB, "join", OTHER)
    await set_member(db, BOB, "leave")
    listed = await ask(db, room_list.listed)
    assert [(room.room_id, room.members) for room in listed] == [(OTHER, 2), (ROOM, 1)]
    await db.write(lambda tx: rooms.set_published(tx, OTHER, published=False))
    assert [room.room_id for room in await ask(db, room_list.listed)] == [ROOM]
    row = await ask(db, lambda tx: rooms.find(tx, OTHER))
    assert row == RoomRow(OTHER, "11", ALICE, 5, 0)
    assert await ask(db, lambda tx: rooms.find(tx, RoomId("!none:here"))) is None
