"""The queries of sliding sync: what lists are made of, and what the rooms shown hold.

None is made for each room; lists of rooms that are long are read in parts.
"""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.required_state import Selection
from tidings.rules.sliding_sync import BUMPS
from tidings.rules.stream import AccountDataChanged, ReceiptMoved
from tidings.server.storage.database import ReadTx, Value
from tidings.server.storage.events import COLUMNS, SELECT, EventRow, placeholders
from tidings.server.storage.people import AccountDataRow, ReceiptRow

BUMP_EVENTS_MAX = 200
"""So many events of a room are looked at for one that moves it up; the oldest stands for it."""
_JOIN_REPLACED = "LEFT JOIN events p ON p.position = e.replaces"


class PlaceRow(msgspec.Struct, frozen=True, array_like=True):
    """A user's place in a room, and the room's last event."""

    room_id: RoomId
    membership: str
    changed: int
    sender: UserId
    last: int
    loud: int


class SlidingSyncStore:
    """Reads the rooms of one user."""

    async def places(self, tx: ReadTx, user_id: UserId) -> list[PlaceRow]:
        """All rooms a user has ever had to do with."""
        return await tx.scan(
            PlaceRow,
            "SELECT m.room_id, m.membership, m.position, e.sender, t.position, t.loud"
            " FROM members m JOIN events e ON e.position = m.position"
            " JOIN events t ON t.position = (SELECT x.position FROM events x"
            " WHERE x.room_id = m.room_id ORDER BY x.position DESC LIMIT 1)"
            " WHERE m.user_id = ?",
            user_id,
        )

    async def own_histories(self, tx: ReadTx, user_id: UserId) -> list[tuple[RoomId, bytes]]:
        """The user's member events in the rooms they are not in any more."""
        return await tx.scan(
            tuple[RoomId, bytes],
            "SELECT e.room_id, e.json FROM members m JOIN events e ON e.room_id = m.room_id"
            " AND e.type = 'm.room.member' AND e.state_key = m.user_id"
            " WHERE m.user_id = ? AND m.membership IN ('leave', 'ban')",
            user_id,
        )

    async def facts(self, tx: ReadTx, user_id: UserId) -> list[tuple[RoomId, str, bytes]]:
        """What filters ask of the rooms: how they were created, whether they are encrypted."""
        return await tx.scan(
            tuple[RoomId, str, bytes],
            "SELECT s.room_id, s.type, e.json FROM members m JOIN state s"
            " ON s.room_id = m.room_id AND s.type IN ('m.room.create', 'm.room.encryption')"
            " AND s.state_key = '' JOIN events e ON e.position = s.position WHERE m.user_id = ?",
            user_id,
        )

    async def labels(self, tx: ReadTx, user_id: UserId) -> list[tuple[RoomId, str, bytes]]:
        """The account data that says which rooms are direct chats, and their tags."""
        return await tx.scan(
            tuple[RoomId, str, bytes],
            "SELECT room_id, type, content FROM account_data WHERE user_id = ?"
            " AND (type = 'm.tag' OR (type = 'm.direct' AND room_id = ''))",
            user_id,
        )

    async def children(self, tx: ReadTx, spaces: Sequence[str]) -> list[tuple[RoomId, str, bytes]]:
        """The state events that put rooms into spaces: space, room, event."""
        return await tx.scan(
            tuple[RoomId, str, bytes],
            "SELECT s.room_id, s.state_key, e.json FROM state s"
            " JOIN events e ON e.position = s.position WHERE s.type = 'm.space.child'"
            f" AND s.room_id IN ({placeholders(len(spaces))})",
            *spaces,
        )

    async def state(self, tx: ReadTx, rooms: Sequence[RoomId], selection: Selection) -> list[Event]:
        """The present state of rooms."""
        parts: list[str] = []
        args: list[Value] = []
        in_rooms = f"s.room_id IN ({placeholders(len(rooms))})"
        if selection.types is None:
            parts.append(f"{in_rooms} AND s.type <> 'm.room.member'")
            args += [*rooms]
        elif selection.types:
            parts.append(f"{in_rooms} AND s.type IN ({placeholders(len(selection.types))})")
            args += [*rooms, *selection.types]
        if selection.members is None:
            parts.append(f"{in_rooms} AND s.type = 'm.room.member'")
            args += [*rooms]
        elif selection.members:
            keys = placeholders(len(selection.members))
            parts.append(f"{in_rooms} AND s.type = 'm.room.member' AND s.state_key IN ({keys})")
            args += [*rooms, *selection.members]
        if not parts:
            return []
        chosen = " UNION ALL ".join(
            f"SELECT s.position FROM state s WHERE {part}" for part in parts
        )
        sql = f"SELECT {COLUMNS} FROM ({chosen}) s JOIN events e ON e.position = s.position"
        return [*await tx.scan(EventRow, f"{sql} {_JOIN_REPLACED}", *args)]

    async def state_changes(
        self, tx: ReadTx, rooms: Sequence[RoomId], span: tuple[int, int], selection: Selection
    ) -> list[Event]:
        """State events of rooms in a span (after, upto], oldest first."""
        members, keys = "", selection.members
        if keys is not None:
            named = f" OR e.state_key IN ({placeholders(len(keys))})" if keys else ""
            members = f" AND (e.type <> 'm.room.member'{named})"
        rows = await tx.scan(
            EventRow,
            f"{SELECT} WHERE e.room_id IN ({placeholders(len(rooms))})"
            f" AND e.state_key IS NOT NULL AND e.position > ? AND e.position <= ?{members}"
            " ORDER BY e.position",
            *rooms, *span, *(keys or ()),
        )  # fmt: skip
        return [*rows]

    async def state_at_leaving(
        self, tx: ReadTx, user_id: UserId, rooms: Sequence[RoomId]
    ) -> list[Event]:
        """The state that rooms had when the user left them."""
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM (SELECT max(x.position) AS position FROM members m"
            " JOIN events x ON x.room_id = m.room_id AND x.state_key IS NOT NULL"
            f" AND x.position <= m.position WHERE m.user_id = ?"
            f" AND m.room_id IN ({placeholders(len(rooms))})"
            " GROUP BY x.room_id, x.type, x.state_key) s"
            f" JOIN events e ON e.position = s.position {_JOIN_REPLACED}",
            user_id, *rooms,
        )  # fmt: skip
        return [*rows]

    async def bumps(self, tx: ReadTx, rooms: Sequence[RoomId], upto: int) -> dict[RoomId, int]:
        """Where the last event of each room is that moves it up."""
        rows = await tx.scan(
            tuple[RoomId, int],
            "WITH floors AS MATERIALIZED (SELECT r.room_id, coalesce((SELECT x.position"
            " FROM events x WHERE x.room_id = r.room_id AND x.position <= ?"
            f" ORDER BY x.position DESC LIMIT 1 OFFSET {BUMP_EVENTS_MAX}), 0) AS first"
            f" FROM rooms r WHERE r.room_id IN ({placeholders(len(rooms))}))"
            " SELECT f.room_id, coalesce((SELECT e.position FROM events e"
            " WHERE e.room_id = f.room_id AND e.position > f.first AND e.position <= ?"
            f" AND e.type IN ({placeholders(len(BUMPS))})"
            " ORDER BY e.position DESC LIMIT 1), f.first) FROM floors f",
            upto, *rooms, upto, *BUMPS,
        )  # fmt: skip
        return dict(rows)

    async def account_data(
        self, tx: ReadTx, user_id: UserId, rooms: Sequence[RoomId], upto: int
    ) -> list[AccountDataChanged]:
        """A user's account data of rooms."""
        return await tx.scan(
            AccountDataRow,
            "SELECT position, user_id, room_id, type, content FROM account_data"
            f" WHERE user_id = ? AND room_id IN ({placeholders(len(rooms))}) AND position <= ?",
            user_id, *rooms, upto,
        )  # fmt: skip

    async def receipts(
        self, tx: ReadTx, user_id: UserId, rooms: Sequence[RoomId], first: int, since: int
    ) -> list[ReceiptMoved]:
        """Receipts that stand at a position or after it, or moved since; the user's own all."""
        rows = await tx.scan(
            ReceiptRow,
            "SELECT position, room_id, user_id, receipt_type, thread_id, event_id, event_position,"
            f" loud, ts FROM receipts WHERE room_id IN ({placeholders(len(rooms))})"
            " AND (event_position >= ? OR position > ? OR user_id = ?)",
            *rooms, first, since, user_id,
        )  # fmt: skip
        return [row.change() for row in rows]
