"""The way to a room's contents: you hold a Sight only if you may look.

A room that is not there and one that may not be seen are answered alike, so
that an outsider cannot tell them apart.
Source: client-server API, "Room History Visibility".
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from tidings.protocol.errors import Forbidden, NotFound
from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.rules.paging import END
from tidings.rules.visibility import Interval, can_see, visible_intervals
from tidings.server.live.rooms import MEMBER, Room, Rooms
from tidings.server.services.timeline import NOT_A_MEMBER
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import EventStore
from tidings.server.storage.rooms import RoomStore

NO_EVENT = "There is no such event, or you may not see it"


class Sight(msgspec.Struct, frozen=True):
    """A room that somebody may look at, and how much of it they see."""

    room: Room
    user_id: UserId
    until: int | None = None
    """Who has left sees the room as of here; None: as it is now."""
    intervals: Sequence[Interval] | None = None
    """The visible parts of the history; None: all of it."""
    memberships: Sequence[tuple[int, str]] = ()
    """What the viewer was, from which position on, oldest first."""

    @property
    def upto(self) -> int:
        """The last position that is shown."""
        return END if self.until is None else self.until

    def can_see(self, event: Event) -> bool:
        """Whether the event is in a visible part of the history."""
        return self.intervals is None or can_see(event.position, self.intervals)

    def membership_at(self, position: int) -> str:
        """What the viewer was at the time of an event; after it, if it is their own."""
        for start, membership in reversed(self.memberships):
            if start <= position:
                return membership
        return "leave"


class Access:
    """Loads rooms and events for whoever may see them."""

    def __init__(self, rooms: Rooms, store: RoomStore, events: EventStore) -> None:
        self._rooms = rooms
        self._store = store
        self._events = events

    async def load_room(self, tx: ReadTx, user_id: UserId, room_id: RoomId) -> Sight:
        """The room as the user may see it; raises Forbidden."""
        room = await self._rooms.load(tx, room_id)
        if room is None:
            raise Forbidden(NOT_A_MEMBER)
        held = room.get(MEMBER, user_id)
        if user_id in room.joined and held is not None:
            if room.visibility_changed:
                return await self._load_restricted(tx, user_id, room)
            if held.replaces is None:
                return Sight(room, user_id, memberships=((held.position, "join"),))
            _, memberships = await self._history(tx, user_id, room_id)
            return Sight(room, user_id, memberships=memberships)
        if held is None and not _is_world_readable(room):
            raise Forbidden(NOT_A_MEMBER)
        return await self._load_restricted(tx, user_id, room)

    async def load_joined(self, tx: ReadTx, user_id: UserId, room_id: RoomId) -> Room:
        """The room for one of its members; raises Forbidden."""
        room = await self._rooms.load(tx, room_id)
        if room is None or user_id not in room.joined:
            raise Forbidden(NOT_A_MEMBER)
        return room

    async def load_event(
        self, tx: ReadTx, user_id: UserId, room_id: RoomId, event_id: EventId
    ) -> tuple[Sight, Event]:
        """An event and its room as the user may see them; raises NotFound."""
        try:
            sight = await self.load_room(tx, user_id, room_id)
        except Forbidden as error:
            raise NotFound(NO_EVENT) from error
        event = await self._events.find(tx, event_id)
        if event is None or event.room_id != room_id or not sight.can_see(event):
            raise NotFound(NO_EVENT)
        return sight, event

    async def _load_restricted(self, tx: ReadTx, user_id: UserId, room: Room) -> Sight:
        visibility, memberships = await self._history(tx, user_id, room.room_id)
        intervals = visible_intervals(visibility, memberships)
        until = None
        if user_id not in room.joined and not _is_world_readable(room):
            until = _end_of_last_stay(memberships)
            place = await self._store.find_membership(tx, user_id, room.room_id)
            if until is None or place is None or place.forgotten:
                raise Forbidden(NOT_A_MEMBER)
        return Sight(room, user_id, until, intervals, memberships)

    async def _history(
        self, tx: ReadTx, user_id: UserId, room_id: RoomId
    ) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        rows = await self._events.sight_history(tx, room_id, user_id)
        values: dict[bool, list[tuple[int, str]]] = {True: [], False: []}
        for position, type_, value in rows:
            values[type_ == MEMBER].append((position, value))
        return values[False], values[True]


def _is_world_readable(room: Room) -> bool:
    event = room.get("m.room.history_visibility", "")
    return event is not None and event.content.get("history_visibility") == "world_readable"


def _end_of_last_stay(memberships: Iterable[tuple[int, str]]) -> int | None:
    """The position of the event that ended a user's last time in the room."""
    ends = [
        end
        for (_, membership), (end, after) in pairwise(memberships)
        if membership == "join" and after != "join"
    ]
    return ends[-1] if ends else None
