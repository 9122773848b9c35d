"""The newest events of all rooms of a user, page by page: what notifications are looked for in."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, UserId
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import SELECT, EventRow


class ActiveRoom(msgspec.Struct, frozen=True, array_like=True):
    """A room a user has joined, and its last event before some position."""

    room_id: RoomId
    entered: int
    last: int | None


class NotificationStore:
    """Reads what may have notified a user."""

    async def active_rooms(self, tx: ReadTx, user_id: UserId, before: int) -> list[ActiveRoom]:
        """The user's rooms in which something was sent before a position, most recent first."""
        rows = await tx.scan(
            ActiveRoom,
            "SELECT m.room_id, m.entered, (SELECT max(e.position) FROM events e"
            " WHERE e.room_id = m.room_id AND e.position < ?) FROM members m"
            " WHERE m.user_id = ? AND m.membership = 'join'",
            before, user_id,
        )  # fmt: skip
        active = [row for row in rows if row.last is not None and row.last > row.entered]
        return sorted(active, key=lambda row: row.last or 0, reverse=True)

    async def newest(
        self, tx: ReadTx, rooms: Sequence[ActiveRoom], before: int, limit: int
    ) -> list[Event]:
        """The newest events of some rooms before a position, since they were joined."""
        # Of each room as many as are wanted of all: the database reads no more than those.
        of_rooms = " UNION ALL ".join(
            "SELECT position FROM (SELECT position FROM events WHERE room_id = ?"
            f" AND position > ? AND position < ? ORDER BY position DESC LIMIT {limit}) r{number}"
            for number in range(len(rooms))
        )
        rows = await tx.scan(
            EventRow,
            f"{SELECT} JOIN ({of_rooms}) n ON n.position = e.position"
            f" ORDER BY e.position DESC LIMIT {limit}",
            *(part for room in rooms for part in (room.room_id, room.entered, before)),
        )
        return [*rows]
