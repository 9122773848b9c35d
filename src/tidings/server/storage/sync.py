"""The queries of a sync that memory cannot answer: as many for one room as for a thousand."""

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, UserId
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import COLUMNS, SELECT, EventRow, placeholders

_SHOWN_ROOMS = """m.user_id = ? AND (m.membership = 'join'
    OR (m.membership IN ('leave', 'ban') AND m.position > ? AND m.forgotten = 0))"""
_WINDOW = """e.room_id = m.room_id
    AND e.position > CASE WHEN m.entered > ? AND m.membership = 'join' THEN 0 ELSE ? END
    AND e.position <= CASE WHEN m.membership = 'join' THEN ? ELSE m.position END
    AND e.position >= coalesce((SELECT x.position FROM events x WHERE x.room_id = m.room_id
        AND x.position <= CASE WHEN m.membership = 'join' THEN ? ELSE m.position END
        ORDER BY x.position DESC LIMIT 1 OFFSET ?), 0)"""


class Window(msgspec.Struct, frozen=True):
    """Whose rooms, and which stretch of their history."""

    user_id: UserId
    since: int
    upto: int
    left_since: int
    """Rooms left after this position are shown too; the present for none."""
    events_max: int
    """One more than this many events of each room are read, the newest."""


class CountRow(msgspec.Struct, frozen=True, array_like=True):
    """How many members of a kind a room has."""

    room_id: RoomId
    membership: str
    count: int


class SyncStore:
    """Reads what a sync needs of all rooms of a user at once."""

    async def timelines(self, tx: ReadTx, window: Window) -> list[Event]:
        """The newest events of every room shown, oldest first.

        A room joined since then is read as if the user had never synced.
        """
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM members m JOIN events e ON {_WINDOW}"
            f" LEFT JOIN events p ON p.position = e.replaces WHERE {_SHOWN_ROOMS}"
            " ORDER BY e.position",
            *self._bounds(window), window.user_id, window.left_since,
        )  # fmt: skip
        return [row.event() for row in rows]

    async def senders(self, tx: ReadTx, window: Window) -> list[Event]:
        """The member events of all who sent something in the timelines."""
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM (SELECT DISTINCT e.room_id, e.sender FROM members m"
            f" JOIN events e ON {_WINDOW} WHERE {_SHOWN_ROOMS}) t"
            " JOIN state s ON s.room_id = t.room_id AND s.type = 'm.room.member'"
            " AND s.state_key = t.sender JOIN events e ON e.position = s.position"
            " LEFT JOIN events p ON p.position = e.replaces",
            *self._bounds(window), window.user_id, window.left_since,
        )  # fmt: skip
        return [row.event() for row in rows]

    @staticmethod
    def _bounds(window: Window) -> tuple[int, int, int, int, int]:
        return (window.since, window.since, window.upto, window.upto, window.events_max)

    async def whole_state(
        self, tx: ReadTx, user_id: UserId, entered_after: int, *, members: bool
    ) -> list[Event]:
        """The present state of the rooms joined after a position."""
        but_members = "" if members else " AND s.type <> 'm.room.member'"
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM members m JOIN state s ON s.room_id = m.room_id{but_members}"
            " JOIN events e ON e.position = s.position"
            " LEFT JOIN events p ON p.position = e.replaces"
            " WHERE m.user_id = ? AND m.membership = 'join' AND m.entered > ?",
            user_id, entered_after,
        )  # fmt: skip
        return [row.event() for row in rows]

    async def own_members(self, tx: ReadTx, user_id: UserId, after: int) -> list[Event]:
        """The user's own member events in rooms joined after a position."""
        rows = await tx.scan(
            EventRow,
            f"{SELECT} JOIN members m ON m.position = e.position AND m.user_id = ?"
            " AND m.membership = 'join' AND m.entered > ?",
            user_id, after,
        )  # fmt: skip
        return [row.event() for row in rows]

    async def state_changes(self, tx: ReadTx, window: Window) -> list[Event]:
        """All state events since a position in the rooms shown."""
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM members m JOIN events e ON e.room_id = m.room_id"
            " AND e.state_key IS NOT NULL AND e.position > ?"
            " AND e.position <= CASE WHEN m.membership = 'join' THEN ? ELSE m.position END"
            f" LEFT JOIN events p ON p.position = e.replaces WHERE {_SHOWN_ROOMS}"
            " ORDER BY e.position",
            window.since, window.upto, window.user_id, window.left_since,
        )  # fmt: skip
        return [row.event() for row in rows]

    async def at_positions(self, tx: ReadTx, positions: list[int]) -> list[Event]:
        """The events at these positions."""
        if not positions:
            return []
        sql = f"{SELECT} WHERE e.position IN ({placeholders(len(positions))})"
        return [row.event() for row in await tx.scan(EventRow, sql, *positions)]

    async def visibility(self, tx: ReadTx, window: Window) -> list[tuple[RoomId, str, int, bytes]]:
        """Per room: each change of its visibility and of the user's membership, oldest first."""
        return await tx.scan(
            tuple[RoomId, str, int, bytes],
            "SELECT e.room_id, e.type, e.position, e.json FROM members m JOIN events e"
            " ON e.room_id = m.room_id AND ((e.type = 'm.room.history_visibility'"
            " AND e.state_key = '') OR (e.type = 'm.room.member' AND e.state_key = m.user_id))"
            f" WHERE {_SHOWN_ROOMS} ORDER BY e.position",
            window.user_id, window.left_since,
        )  # fmt: skip

    async def outside_state(self, tx: ReadTx, user_id: UserId, since: int) -> list[Event]:
        """What rooms show to a user who is invited, or has knocked, since a position.

        The state in question is read as it is now.
        """
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM members m JOIN state s ON s.room_id = m.room_id"
            " AND (s.type IN ('m.room.create', 'm.room.name', 'm.room.avatar', 'm.room.topic',"
            " 'm.room.join_rules', 'm.room.canonical_alias', 'm.room.encryption')"
            " OR (s.type = 'm.room.member' AND s.state_key IN (m.user_id,"
            " (SELECT i.sender FROM events i WHERE i.position = m.position))))"
            " JOIN events e ON e.position = s.position"
            " LEFT JOIN events p ON p.position = e.replaces"
            " WHERE m.user_id = ? AND m.membership IN ('invite', 'knock') AND m.position > ?",
            user_id, since,
        )  # fmt: skip
        return [row.event() for row in rows]

    async def member_counts(self, tx: ReadTx, user_id: UserId) -> list[CountRow]:
        """How many people are in each room the user has joined."""
        return await tx.scan(
            CountRow,
            "SELECT o.room_id, o.membership, count(*) FROM members m"
            " JOIN members o ON o.room_id = m.room_id AND o.membership IN ('join', 'invite')"
            " WHERE m.user_id = ? AND m.membership = 'join' GROUP BY o.room_id, o.membership",
            user_id,
        )

    async def heroes(self, tx: ReadTx, user_id: UserId) -> list[tuple[RoomId, UserId]]:
        """The first few other people of each joined room that has no name."""
        return await tx.scan(
            tuple[RoomId, UserId],
            "SELECT room_id, user_id FROM (SELECT o.room_id, o.user_id, row_number() OVER"
            " (PARTITION BY o.room_id ORDER BY CASE WHEN o.membership IN ('join', 'invite')"
            " THEN 0 ELSE 1 END, o.entered) AS place FROM members m"
            " JOIN members o ON o.room_id = m.room_id AND o.user_id <> m.user_id"
            " WHERE m.user_id = ? AND m.membership = 'join'"
            " AND NOT EXISTS (SELECT 1 FROM state s WHERE s.room_id = m.room_id"
            " AND s.type IN ('m.room.name', 'm.room.canonical_alias'))) h WHERE place <= 5"
            " ORDER BY room_id, place",
            user_id,
        )
