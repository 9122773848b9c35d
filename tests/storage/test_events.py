"""Events as they are kept."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from tidings.protocol.events import Draft, Event
from tidings.protocol.ids import DeviceId, EventId, RoomId, StreamPosition, UserId
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.events import EventStore, Span
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.relations import RelationsPage, RelationStore
from tidings.server.storage.sqlite import SqliteDriver

T = TypeVar("T")
ALICE, BOB = UserId("@alice:here"), UserId("@bob:here")
ROOM, OTHER = RoomId("!room:here"), RoomId("!other:here")
DEVICE = DeviceId("DEVICE")

events, relations = EventStore(), RelationStore()


class Chronicle:
    """A database, and the events put into it."""

    def __init__(self, url: str) -> None:
        is_sqlite = url.startswith("sqlite")
        self.db = Database(SqliteDriver(Path(url[10:])) if is_sqlite else PostgresDriver(url))

    async def add(self, type_: str = "m.room.message", **values: object) -> Event:
        """Append an event whose content is its position."""

        async def recipe(tx: WriteTx) -> Event:
            position = tx.next_position()
            content = values.pop("content", {"at": position})
            plain = {
                "position": position,
                "event_id": f"${position}",
                "room_id": ROOM,
                "type": type_,
                "state_key": None,
                "sender": ALICE,
                "origin_server_ts": position * 10,
                "json": msgspec.json.encode({"content": content}),
            }
            event = msgspec.convert({**plain, **values}, Event)
            await events.append(tx, event, b"{}", position)
            return event

        return await self.db.write(recipe)

    async def ask(self, question: Callable[[ReadTx], Awaitable[T]]) -> T:
        async with self.db.read() as tx:
            return await question(tx)

    async def page(self, **span: object) -> list[int]:
        wanted = msgspec.convert({"before": 99, "backwards": False, "limit": 10, **span}, Span)
        return positions(await self.ask(lambda tx: events.page(tx, ROOM, wanted)))


def positions(found: list[Event]) -> list[int]:
    return [event.position for event in found]


@pytest.fixture
async def book(db_url: str) -> AsyncGenerator[Chronicle, None]:
    made = Chronicle(db_url)
    await made.db.open()
    yield made
    await made.db.close()


async def test_an_event_comes_back_as_it_was_put(book: Chronicle) -> None:
    put = await book.add(
        device_id=DEVICE, txn_id="t", relates_to="$x", rel_type="m.thread", thread_id="$x",
        loud=3, is_loud=1,
    )  # fmt: skip
    found = await book.ask(lambda tx: events.find(tx, put.event_id))
    assert found is not None
    fields = Event.__struct_fields__
    assert {name: getattr(found, name) for name in fields} == {
        name: getattr(put, name) for name in fields
    }
    assert found.content == {"at": 1}
    assert await book.ask(lambda tx: events.find(tx, EventId("$none"))) is None
    assert await book.ask(lambda tx: events.find_many(tx, [])) == {}


async def test_a_transaction_names_one_event(book: Chronicle) -> None:
    event = await book.add(device_id=DEVICE, txn_id="t")

    async def sent(
        tx: ReadTx, txn_id: str = "t", sender: UserId = ALICE, type_: str = event.type
    ) -> EventId | None:
        return await events.find_by_txn(tx, Draft(ROOM, type_, sender, {}), DEVICE, txn_id)

    assert await book.ask(sent) == event.event_id
    assert await book.ask(lambda tx: sent(tx, "u")) is None
    assert await book.ask(lambda tx: sent(tx, sender=BOB)) is None
    assert await book.ask(lambda tx: sent(tx, type_="m.room.redaction")) is None
    with pytest.raises(Exception, match=r"(?i)unique"):
        await book.add(device_id=DEVICE, txn_id="t")


async def test_pages_lie_between_their_bounds(book: Chronicle) -> None:
    for room in (ROOM, OTHER, ROOM, ROOM, OTHER, ROOM):
        await book.add(room_id=room)
    assert await book.page() == [1, 3, 4, 6]
    assert await book.page(backwards=True) == [6, 4, 3, 1]
    assert await book.page(after=1, before=6) == [3, 4]
    assert await book.page(limit=2) == [1, 3]
    assert await book.page(backwards=True, before=4, limit=1) == [3]


async def test_state_as_of_a_position(book: Chronicle) -> None:
    await book.add("m.name", state_key="", content={"n": 1})
    await book.add("m.member", state_key="@a", content={"m": 1})
    await book.add("m.name", state_key="", content={"n": 2}, replaces=1)
    await book.add("m.name")
    await book.add("m.name", state_key="", room_id=OTHER)

    async def state(position: int) -> list[int]:
        return sorted(positions(await book.ask(lambda tx: events.state_at(tx, ROOM, position))))

    assert [await state(position) for position in range(5)] == [[], [1], [1, 2], [2, 3], [2, 3]]
    keys = [("m.name", ""), ("m.member", "@b")]
    found = await book.ask(lambda tx: events.state_of_keys_at(tx, ROOM, keys, 2))
    assert positions(found) == [1]
    assert await book.ask(lambda tx: events.state_of_keys_at(tx, ROOM, [], 2)) == []
    one = await book.ask(lambda tx: events.state_event_at(tx, ROOM, ("m.name", ""), 3))
    assert one is not None
    assert one.position == 3
    assert one.replaced_members == (
        b'"prev_content":{"n":1},"prev_sender":"@alice:here","replaces_state":"$1"'
    )


async def test_what_decides_who_sees_what(book: Chronicle) -> None:
    await book.add("m.room.member", state_key=ALICE, content={"membership": "join"})
    visibility = {"history_visibility": "joined"}
    await book.add("m.room.history_visibility", state_key="", content=visibility)
    await book.add("m.room.member", state_key=BOB, content={"membership": "join"})
    await book.add("m.room.member", state_key=ALICE, content={"membership": "leave"})
    await book.add("m.room.member", state_key=ALICE, content={})
    assert await book.ask(lambda tx: events.sight_history(tx, ROOM, ALICE)) == [
        (1, "m.room.member", "join"),
        (2, "m.room.history_visibility", "joined"),
        (4, "m.room.member", "leave"),
        (5, "m.room.member", "None"),
    ]


async def test_a_redacted_event_keeps_its_place_and_loses_its_relations(book: Chronicle) -> None:
    event = await book.add(relates_to="$0", rel_type="m.replace")

    async def redact(tx: WriteTx) -> None:
        tx.next_position()
        await events.replace_content(tx, event.event_id, b'{"content":{}}', EventId("$by"))

    await book.db.write(redact)
    found = await book.ask(lambda tx: events.find(tx, event.event_id))
    assert found is not None
    assert (found.content, found.redacted_by) == ({}, "$by")
    assert (found.relates_to, found.rel_type) == (None, None)
    assert await book.ask(lambda tx: events.pdu_parts(tx, event.event_id)) == (
        b'{"content":{}}',
        b"{}",
    )


async def test_the_first_event_from_a_position(book: Chronicle) -> None:
    for room in (OTHER, ROOM, OTHER, ROOM):
        await book.add(room_id=room)

    async def first(position: int) -> tuple[StreamPosition, int] | None:
        return await book.ask(lambda tx: events.first_from(tx, ROOM, position))

    found = [await first(position) for position in range(1, 6)]
    assert found == [(2, 20), (2, 20), (4, 40), (4, 40), None]
    last = await book.ask(lambda tx: events.last(tx, ROOM))
    assert last is not None
    assert (last.event_id, last.position, last.depth) == ("$4", 4, 4)


async def test_relations_stay_within_their_depth(book: Chronicle) -> None:
    for parent in (None, "$1", "$2", "$3", "$4", "$1"):
        await book.add(relates_to=parent, rel_type="m.x" if parent else None)
    page = RelationsPage(
        room_id=ROOM, event_id=EventId("$1"), after=-1, before=99, backwards=False, limit=10
    )
    found = await book.ask(lambda tx: relations.page(tx, page))
    assert positions(found) == [2, 6]
    deep = msgspec.structs.replace(page, recurse=True)
    assert positions(await book.ask(lambda tx: relations.page(tx, deep))) == [2, 3, 4, 6]
    elsewhere = msgspec.structs.replace(page, room_id=OTHER)
    assert await book.ask(lambda tx: relations.page(tx, elsewhere)) == []


async def test_relations_that_go_in_a_circle_end(book: Chronicle) -> None:
    await book.add(relates_to="$2", rel_type="m.x")
    await book.add(relates_to="$1", rel_type="m.x")
    page = RelationsPage(
        room_id=ROOM, event_id=EventId("$1"), after=-1, before=99, backwards=False,
        recurse=True, limit=10,
    )  # fmt: skip
    assert positions(await book.ask(lambda tx: relations.page(tx, page))) == [1, 2]


async def test_counts_are_told_by_room_and_up_to_a_position(book: Chronicle) -> None:
    await book.add()
    for room in (ROOM, ROOM, OTHER):
        await book.add(room_id=room, relates_to="$1", rel_type="m.thread")
    root = [EventId("$1")]
    counts = await book.ask(lambda tx: relations.counts(tx, root, 99))
    assert {(each.room_id, each.count, each.latest) for each in counts} == {
        (ROOM, 2, 3),
        (OTHER, 1, 4),
    }
    counts = await book.ask(lambda tx: relations.counts(tx, root, StreamPosition(2)))
    assert [(each.count, each.latest) for each in counts] == [(1, 2)]
