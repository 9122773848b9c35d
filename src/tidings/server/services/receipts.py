"""Reading: receipts that others see or do not, and the marker of what is fully read.

A receipt never moves back in a room's history; saying again what is known
already changes nothing and wakes nobody.
Source: client-server API, "Receipts" and "Read and unread markers".
"""

from collections.abc import Callable, Sequence

import msgspec

from tidings.protocol.errors import InvalidParam, NotFound
from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.rules.stream import ReceiptMoved
from tidings.server.live.rooms import Rooms
from tidings.server.services.account_data import FULLY_READ, AccountData
from tidings.server.services.joined import load_joined
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.events import EventStore
from tidings.server.storage.people import MAIN, WHOLE_ROOM, MarkRow, PeopleStore

RECEIPT_TYPES = ("m.read", "m.read.private", FULLY_READ)


class ReadUpTo(msgspec.Struct, frozen=True):
    """Somebody has read up to an event."""

    event_id: EventId
    receipt_type: str
    thread_id: str = WHOLE_ROOM
    """`main`, a thread's root, or empty: then it counts for the whole room."""


class _Marker(msgspec.Struct):
    event_id: EventId | None = None


class Receipts:
    """Moves receipts and markers."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        events: EventStore,
        people: PeopleStore,
        rooms: Rooms,
        account_data: AccountData,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._events = events
        self._people = people
        self._rooms = rooms
        self._account_data = account_data
        self._now_ms = now_ms

    async def move(self, room_id: RoomId, user_id: UserId, read: Sequence[ReadUpTo]) -> None:
        """Move receipts of one room together; raises Forbidden, NotFound, InvalidParam."""

        async def recipe(tx: WriteTx) -> None:
            await load_joined(self._rooms, tx, room_id, user_id)
            found = [(each, await self._find_event(tx, room_id, each)) for each in read]
            for each, event in found:
                if each.receipt_type == FULLY_READ:
                    await self._move_marker(tx, user_id, event)
                else:
                    await self._move_receipt(tx, user_id, each, event)

        await self._db.write(recipe)

    async def _find_event(self, tx: WriteTx, room_id: RoomId, read: ReadUpTo) -> Event:
        known = "\0" not in read.event_id  # which PostgreSQL would not take
        event = await self._events.find(tx, read.event_id) if known else None
        if event is None or event.room_id != room_id:
            raise NotFound("There is no such event in this room")
        if not _is_in_thread(event, read.thread_id):
            raise InvalidParam("The event is not part of the thread that thread_id names")
        return event

    async def _move_receipt(
        self, tx: WriteTx, user_id: UserId, read: ReadUpTo, event: Event
    ) -> None:
        room_id, thread_id = event.room_id, read.thread_id
        held = await self._people.find_receipt(tx, room_id, user_id, read.receipt_type, thread_id)
        if held is not None and held.event_position >= event.position:
            return
        moved = ReceiptMoved(
            position=tx.next_position(),
            room_id=room_id,
            user_id=user_id,
            receipt_type=read.receipt_type,
            thread_id=thread_id,
            event_id=event.event_id,
            event_position=event.position,
            loud=event.loud,
            ts=self._now_ms(),
        )
        mark = MarkRow(room_id, thread_id, event.position, event.loud)
        await self._people.set_receipt(tx, moved)
        await self._people.set_mark(tx, user_id, mark)
        await self._people.delete_read_notices(tx, user_id, mark)
        tx.emit(moved)

    async def _move_marker(self, tx: WriteTx, user_id: UserId, event: Event) -> None:
        held = await self._people.find_account_data(tx, user_id, event.room_id, FULLY_READ)
        if held is not None and await self._stands_at(tx, held) >= event.position:
            return
        content = msgspec.json.encode({"event_id": event.event_id})
        await self._account_data.put(tx, user_id, event.room_id, (FULLY_READ, content))

    async def _stands_at(self, tx: WriteTx, held: bytes) -> StreamPosition:
        event_id = msgspec.json.decode(held, type=_Marker).event_id
        event = await self._events.find(tx, event_id) if event_id else None
        return event.position if event else StreamPosition(0)


def _is_in_thread(event: Event, thread_id: str) -> bool:
    if thread_id == WHOLE_ROOM:
        return True
    if thread_id == MAIN:
        return event.thread_id is None
    # A root, and what relates to it otherwise, is of the main timeline, but clients read it
    # as the first of its thread.
    return thread_id in {event.thread_id, event.event_id, event.relates_to}
