"""The queries of a sync that memory cannot answer: as many for one room as for a thousand."""

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.server.storage.database import ReadTx, Value
from tidings.server.storage.events import COLUMNS, SELECT, EventRow, placeholders

_PLACES = """SELECT m.room_id, m.user_id, m.membership, m.entered,
    CASE WHEN m.membership = 'join' THEN CAST(? AS BIGINT) ELSE m.position END AS upto,
    CASE WHEN m.membership = 'join' AND m.entered > ? THEN 0 ELSE CAST(? AS BIGINT) END AS since
    FROM members m WHERE m.user_id = ? AND (m.membership = 'join'
    OR (m.membership IN ('leave', 'ban') AND m.position > ? AND m.forgotten <= ?))"""
_WINDOWS = f"""WITH places AS MATERIALIZED ({_PLACES}{{rooms}}), windows AS MATERIALIZED (
    SELECT w.room_id, w.upto, coalesce((SELECT x.position FROM events x
        WHERE x.room_id = w.room_id AND x.position > w.since AND x.position <= w.upto
        ORDER BY x.position DESC LIMIT 1 OFFSET ?), w.since + 1) AS first FROM places w) """
"""Of each room shown, where its newest so many events begin: the one bound of the index.

A room joined since then is read as if the user had never synced.
"""


class Window(msgspec.Struct, frozen=True):
    """Whose rooms, and which stretch of their history."""

    user_id: UserId
    since: int
    upto: int
    left_since: int
    """Rooms left after this position are shown too; the present for none."""
    events_max: int
    """One more than this many events of each room are read, the newest."""
    rooms: tuple[RoomId, ...] = ()
    """Only these rooms; all for none named."""

    @property
    def places(self) -> tuple[Value, ...]:
        """The arguments of `_PLACES`."""
        # A first sync tells nothing of forgotten rooms; a later one tells that they were left.
        forgotten_upto = self.upto if self.since else 0
        places = (self.upto, self.since, self.since, self.user_id, self.left_since)
        return (*places, forgotten_upto)

    @property
    def rooms_clause(self) -> str:
        """The condition that leaves the other rooms out."""
        return f" AND m.room_id IN ({placeholders(len(self.rooms))})" if self.rooms else ""


class CountRow(msgspec.Struct, frozen=True, array_like=True):
    """How many members of a kind a room has."""

    room_id: RoomId
    membership: str
    count: int


class SyncStore:
    """Reads what a sync needs of all rooms of a user at once."""

    async def timelines(self, tx: ReadTx, window: Window) -> list[Event]:
        """The newest events of every room shown, oldest first."""
        rows = await tx.scan(
            EventRow,
            f"{_WINDOWS.format(rooms=window.rooms_clause)} SELECT {COLUMNS} FROM windows w"
            " JOIN events e ON e.room_id = w.room_id AND e.position >= w.first"
            " AND e.position <= w.upto LEFT JOIN events p ON p.position = e.replaces"
            " ORDER BY e.position",
            *window.places, *window.rooms, window.events_max,
        )  # fmt: skip
        return [*rows]

    async def senders(self, tx: ReadTx, window: Window) -> list[Event]:
        """The member events of all who sent something in the timelines."""
        rows = await tx.scan(
            EventRow,
            f"{_WINDOWS.format(rooms=window.rooms_clause)} SELECT {COLUMNS} FROM"
            " (SELECT DISTINCT e.room_id, e.sender FROM windows w JOIN events e"
            " ON e.room_id = w.room_id AND e.position >= w.first AND e.position <= w.upto) t"
            " JOIN state s ON s.room_id = t.room_id AND s.type = 'm.room.member'"
            " AND s.state_key = t.sender JOIN events e ON e.position = s.position"
            " LEFT JOIN events p ON p.position = e.replaces",
            *window.places, *window.rooms, window.events_max,
        )  # fmt: skip
        return [*rows]

    async def whole_state(
        self, tx: ReadTx, window: Window, entered_after: int, *, members: bool
    ) -> list[Event]:
        """The present state of the rooms joined after a position."""
        but_members = "" if members else " AND s.type <> 'm.room.member'"
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM members m JOIN state s ON s.room_id = m.room_id{but_members}"
            " JOIN events e ON e.position = s.position"
            " LEFT JOIN events p ON p.position = e.replaces"
            " WHERE m.user_id = ? AND m.membership = 'join' AND m.entered > ?"
            f"{window.rooms_clause}",
            window.user_id, entered_after, *window.rooms,
        )  # fmt: skip
        return [*rows]

    async def own_members(self, tx: ReadTx, window: Window, after: int) -> list[Event]:
        """The user's own member events in rooms joined after a position."""
        rows = await tx.scan(
            EventRow,
            f"{SELECT} JOIN members m ON m.position = e.position AND m.user_id = ?"
            f" AND m.membership = 'join' AND m.entered > ?{window.rooms_clause}",
            window.user_id, after, *window.rooms,
        )  # fmt: skip
        return [*rows]

    async def state_changes(
        self, tx: ReadTx, window: Window, *, joined: bool = True
    ) -> list[Event]:
        """All state events since a position in the rooms shown, or in those left only."""
        but_joined = "" if joined else " AND m.membership <> 'join'"
        rows = await tx.scan(
            EventRow,
            f"WITH places AS MATERIALIZED ({_PLACES}{window.rooms_clause}{but_joined})"
            f" SELECT {COLUMNS} FROM places w JOIN events e ON e.room_id = w.room_id"
            " AND e.state_key IS NOT NULL AND e.position > ? AND e.position <= w.upto"
            " LEFT JOIN events p ON p.position = e.replaces ORDER BY e.position",
            *window.places, *window.rooms, window.since,
        )  # fmt: skip
        return [*rows]

    async def emptied_state(
        self, tx: ReadTx, window: Window
    ) -> list[tuple[EventId, StreamPosition]]:
        """State that still holds and was emptied since a position: redaction and state event."""
        return await tx.scan(
            tuple[EventId, StreamPosition],
            f"WITH places AS MATERIALIZED ({_PLACES}{window.rooms_clause})"
            " SELECT r.event_id, e.position FROM places w JOIN events e ON e.room_id = w.room_id"
            " AND e.redacted_by IS NOT NULL AND e.state_key IS NOT NULL AND e.position <= w.upto"
            " JOIN events r ON r.event_id = e.redacted_by AND r.position > ?"
            " AND r.position <= w.upto JOIN state s ON s.room_id = e.room_id AND s.type = e.type"
            " AND s.state_key = e.state_key AND s.position = e.position",
            *window.places, *window.rooms, window.since,
        )  # fmt: skip

    async def at_positions(self, tx: ReadTx, positions: list[int]) -> list[Event]:
        """The events at these positions."""
        if not positions:
            return []
        sql = f"{SELECT} WHERE e.position IN ({placeholders(len(positions))})"
        return [*await tx.scan(EventRow, sql, *positions)]

    async def visibility(self, tx: ReadTx, window: Window) -> list[tuple[RoomId, str, int, bytes]]:
        """Per room: each change of its visibility and of the user's membership, oldest first."""
        return await tx.scan(
            tuple[RoomId, str, int, bytes],
            f"WITH places AS MATERIALIZED ({_PLACES}{window.rooms_clause})"
            " SELECT e.room_id, e.type, e.position, e.json FROM places w JOIN events e"
            " ON e.room_id = w.room_id AND e.type = 'm.room.history_visibility'"
            " AND e.state_key = ''"
            " UNION ALL SELECT e.room_id, e.type, e.position, e.json FROM places w JOIN events e"
            " ON e.room_id = w.room_id AND e.type = 'm.room.member' AND e.state_key = w.user_id"
            " ORDER BY 3",
            *window.places, *window.rooms,
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
        return [*rows]

    async def member_counts(self, tx: ReadTx, window: Window) -> list[CountRow]:
        """How many people are in each room the user has joined."""
        return await tx.scan(
            CountRow,
            "SELECT o.room_id, o.membership, count(*) FROM members m"
            " JOIN members o ON o.room_id = m.room_id AND o.membership IN ('join', 'invite')"
            f" WHERE m.user_id = ? AND m.membership = 'join'{window.rooms_clause}"
            " GROUP BY o.room_id, o.membership",
            window.user_id, *window.rooms,
        )  # fmt: skip

    async def heroes(self, tx: ReadTx, window: Window) -> list[tuple[RoomId, UserId]]:
        """The first few other people of each joined room that has no name."""
        return await tx.scan(
            tuple[RoomId, UserId],
            "SELECT room_id, user_id FROM (SELECT o.room_id, o.user_id, o.membership, row_number()"
            " OVER (PARTITION BY o.room_id ORDER BY CASE o.membership WHEN 'join' THEN 0"
            " WHEN 'invite' THEN 1 ELSE 2 END, o.entered) AS place, sum(CASE WHEN o.membership"
            " IN ('join', 'invite') THEN 1 ELSE 0 END) OVER (PARTITION BY o.room_id) AS present"
            " FROM members m JOIN members o ON o.room_id = m.room_id AND o.user_id <> m.user_id"
            f" WHERE m.user_id = ? AND m.membership = 'join'{window.rooms_clause}"
            " AND NOT EXISTS (SELECT 1 FROM state s WHERE s.room_id = m.room_id"
            " AND s.type IN ('m.room.name', 'm.room.canonical_alias'))) h WHERE place <= 5"
            " AND (membership IN ('join', 'invite') OR (present = 0 AND membership <> 'knock'))"
            " ORDER BY room_id, place",
            window.user_id, *window.rooms,
        )  # fmt: skip
