"""What is kept for each user: receipts, read marks, notices, account data, typing, presence."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.rules.stream import (
    AccountDataChanged,
    Notice,
    PresenceChanged,
    ReceiptMoved,
    TypingChanged,
)
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.events import placeholders

WHOLE_ROOM = ""
MAIN = "main"


class MarkRow(msgspec.Struct, frozen=True, array_like=True):
    """How far a user has read, in a room or in one thread of it."""

    room_id: RoomId
    thread_id: str
    position: StreamPosition
    loud: int


class NoticeRow(msgspec.Struct, frozen=True, array_like=True):
    """A notice that differs from an ordinary member's."""

    position: StreamPosition
    user_id: UserId
    room_id: RoomId
    thread_id: str
    notify: int
    highlight: int
    is_loud: int
    """Whether the event notifies an ordinary member too."""


_RECEIPT = (
    "SELECT position, room_id, user_id, receipt_type, thread_id, event_id, event_position, loud, ts"
    " FROM receipts"
)
_NOTICE = (
    "SELECT n.position, n.user_id, n.room_id, n.thread_id, n.notify, n.highlight, e.is_loud"
    " FROM notices n JOIN events e ON e.position = n.position"
)

_IS_SMALL = (
    "(SELECT count(*) FROM (SELECT 1 FROM members c WHERE c.room_id = m.room_id"
    " AND c.membership = 'join' LIMIT ?) few) <= ?"
)
"""Whether room `m` has no more members than that; the limit is one more."""


class ReceiptRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of receipts, in the order of the change it stands for."""

    position: StreamPosition
    room_id: RoomId
    user_id: UserId
    receipt_type: str
    thread_id: str
    event_id: EventId
    event_position: StreamPosition
    loud: int
    ts: int

    def change(self) -> ReceiptMoved:
        """The change that this row records."""
        return ReceiptMoved(
            self.position, self.room_id, self.user_id, self.receipt_type, self.thread_id,
            self.event_id, self.event_position, self.loud, self.ts,
        )  # fmt: skip


class PeopleStore:
    """Verbs on the tables of personal state."""

    async def set_receipt(self, tx: WriteTx, moved: ReceiptMoved) -> None:
        """Let a receipt stand at its new event."""
        await tx.execute(
            "INSERT INTO receipts (room_id, user_id, receipt_type, thread_id, event_id,"
            " event_position, loud, ts, position) VALUES (?,?,?,?,?,?,?,?,?)"
            " ON CONFLICT (room_id, user_id, receipt_type, thread_id) DO UPDATE SET"
            " event_id = excluded.event_id, event_position = excluded.event_position,"
            " loud = excluded.loud, ts = excluded.ts, position = excluded.position",
            moved.room_id, moved.user_id, moved.receipt_type, moved.thread_id, moved.event_id,
            moved.event_position, moved.loud, moved.ts, moved.position,
        )  # fmt: skip

    async def find_receipt(
        self, tx: ReadTx, room_id: RoomId, user_id: UserId, receipt_type: str, thread_id: str
    ) -> ReceiptRow | None:
        """Where a receipt stands."""
        return await tx.find(
            ReceiptRow,
            f"{_RECEIPT} WHERE room_id = ? AND user_id = ? AND receipt_type = ? AND thread_id = ?",
            room_id, user_id, receipt_type, thread_id,
        )  # fmt: skip

    async def receipts_changed(self, tx: ReadTx, after: int, upto: int) -> list[ReceiptMoved]:
        """Receipts that moved in (after, upto]."""
        sql = f"{_RECEIPT} WHERE position > ? AND position <= ?"
        return [row.change() for row in await tx.scan(ReceiptRow, sql, after, upto)]

    async def receipts_of_member(
        self, tx: ReadTx, user_id: UserId, after: int, upto: int
    ) -> list[ReceiptMoved]:
        """Receipts of the rooms a user has joined that moved in (after, upto].

        Of rooms joined after `after` it is all of them.
        """
        rows = await tx.scan(
            ReceiptRow,
            "SELECT r.position, r.room_id, r.user_id, r.receipt_type, r.thread_id, r.event_id,"
            " r.event_position, r.loud, r.ts FROM members m JOIN receipts r"
            " ON r.room_id = m.room_id WHERE m.user_id = ? AND m.membership = 'join'"
            " AND (r.position > ? OR m.entered > ?) AND r.position <= ?",
            user_id, after, after, upto,
        )  # fmt: skip
        return [row.change() for row in rows]

    async def set_mark(self, tx: WriteTx, user_id: UserId, mark: MarkRow) -> None:
        """Note how far a user has read; a mark never goes back."""
        await tx.execute(
            "INSERT INTO read_marks (user_id, room_id, thread_id, position, loud)"
            " VALUES (?,?,?,?,?) ON CONFLICT (user_id, room_id, thread_id) DO UPDATE SET"
            " position = excluded.position, loud = excluded.loud"
            " WHERE excluded.position > read_marks.position",
            user_id, mark.room_id, mark.thread_id, mark.position, mark.loud,
        )  # fmt: skip

    async def marks(self, tx: ReadTx, user_id: UserId) -> list[MarkRow]:
        """All read marks of a user."""
        sql = "SELECT room_id, thread_id, position, loud FROM read_marks WHERE user_id = ?"
        return await tx.scan(MarkRow, sql, user_id)

    async def thread_counts(self, tx: ReadTx, user_id: UserId) -> list[tuple[RoomId, str, int]]:
        """Unread events in threads of the rooms a user has joined: (room, thread, position)."""
        return await tx.scan(
            tuple[RoomId, str, int],
            "SELECT e.room_id, e.thread_id, e.position FROM members m JOIN events e"
            " ON e.room_id = m.room_id AND e.thread_id IS NOT NULL AND e.position > m.entered"
            " AND e.position > coalesce((SELECT max(position) FROM read_marks r"
            " WHERE r.user_id = m.user_id AND r.room_id = m.room_id"
            " AND (r.thread_id = '' OR r.thread_id = e.thread_id)), 0)"
            " WHERE m.user_id = ? AND m.membership = 'join' AND e.is_loud = 1 AND e.sender <> ?"
            " AND e.redacted_by IS NULL ORDER BY e.position",
            user_id, user_id,
        )  # fmt: skip

    async def redacted_unread(self, tx: ReadTx, user_id: UserId) -> list[tuple[RoomId, int]]:
        """Redacted events that the counts of loud events hold after the user's read marks."""
        return await tx.scan(
            tuple[RoomId, int],
            "SELECT e.room_id, e.position FROM members m JOIN events e"
            " ON e.room_id = m.room_id AND e.redacted_by IS NOT NULL AND e.position > m.entered"
            " AND e.position > coalesce((SELECT max(position) FROM read_marks r"
            " WHERE r.user_id = m.user_id AND r.room_id = m.room_id"
            " AND r.thread_id IN ('', 'main')), 0)"
            " WHERE m.user_id = ? AND m.membership = 'join' AND e.is_loud = 1"
            " AND e.thread_id IS NULL",
            user_id,
        )

    async def loud_of_rooms(self, tx: ReadTx, user_id: UserId) -> dict[RoomId, int]:
        """How many loud events each room has that the user has joined."""
        rows = await tx.scan(
            tuple[RoomId, int],
            "SELECT m.room_id, (SELECT e.loud FROM events e WHERE e.room_id = m.room_id"
            " ORDER BY e.position DESC LIMIT 1) FROM members m"
            " WHERE m.user_id = ? AND m.membership = 'join'",
            user_id,
        )
        return dict(rows)

    async def add_notices(
        self, tx: WriteTx, room_id: RoomId, position: int, thread_id: str, notices: list[Notice]
    ) -> None:
        """Note whom an event notifies otherwise than an ordinary member."""
        await tx.execute_many(
            "INSERT INTO notices (user_id, room_id, position, thread_id, notify, highlight)"
            " VALUES (?,?,?,?,?,?)",
            [
                (each.user_id, room_id, position, thread_id, int(each.notify), int(each.highlight))
                for each in notices
            ],
        )

    async def add_loud_notices(
        self, tx: WriteTx, user_id: UserId, room_id: RoomId, after: int, limit: int
    ) -> None:
        """Note the newest loud events of a main timeline one by one for a user."""
        await tx.execute(
            "INSERT INTO notices (user_id, room_id, position, thread_id, notify, highlight)"
            " SELECT CAST(? AS TEXT), room_id, position, 'main', 1, 0 FROM events"
            " WHERE room_id = ? AND position > ? AND is_loud = 1 AND thread_id IS NULL"
            " AND redacted_by IS NULL ORDER BY position DESC LIMIT ?"
            " ON CONFLICT (user_id, room_id, position) DO NOTHING",
            user_id, room_id, after, limit,
        )  # fmt: skip

    async def add_thread_notices(
        self, tx: WriteTx, user_id: UserId, events: list[tuple[RoomId, int, str]]
    ) -> None:
        """Note loud events of threads one by one for a user: room, position, thread."""
        await tx.execute_many(
            "INSERT INTO notices (user_id, room_id, position, thread_id, notify, highlight)"
            " VALUES (?,?,?,?,1,0) ON CONFLICT (user_id, room_id, position) DO NOTHING",
            [(user_id, *event) for event in events],
        )

    async def delete_read_notices(self, tx: WriteTx, user_id: UserId, mark: MarkRow) -> None:
        """Drop what a mark has passed."""
        of_thread = "" if mark.thread_id == WHOLE_ROOM else " AND thread_id = ?"
        thread = () if mark.thread_id == WHOLE_ROOM else (mark.thread_id,)
        await tx.execute(
            f"DELETE FROM notices WHERE user_id = ? AND room_id = ? AND position <= ?{of_thread}",
            user_id, mark.room_id, mark.position, *thread,
        )  # fmt: skip

    async def delete_notices_at(self, tx: WriteTx, position: StreamPosition) -> None:
        """Drop everybody's notices of an event."""
        await tx.execute("DELETE FROM notices WHERE position = ?", position)

    async def delete_old_notices(
        self, tx: WriteTx, whose: Sequence[tuple[UserId, RoomId]], kept: int
    ) -> None:
        """Drop all but the newest notices of each of some users and rooms."""
        await tx.execute_many(
            "DELETE FROM notices WHERE user_id = ? AND room_id = ? AND position <= (SELECT position"
            " FROM notices WHERE user_id = ? AND room_id = ? ORDER BY position DESC LIMIT 1"
            f" OFFSET {kept})",
            [(*each, *each) for each in whose],
        )

    async def notices_of(self, tx: ReadTx, user_id: UserId) -> list[NoticeRow]:
        """The notices kept for a user."""
        return await tx.scan(
            NoticeRow,
            f"{_NOTICE} WHERE n.user_id = ? ORDER BY n.position",
            user_id,
        )

    async def notices_changed(self, tx: ReadTx, after: int, upto: int) -> list[NoticeRow]:
        """Notices of the events in (after, upto]."""
        return await tx.scan(
            NoticeRow,
            f"{_NOTICE} WHERE n.position > ? AND n.position <= ?",
            after, upto,
        )  # fmt: skip

    async def set_account_data(self, tx: WriteTx, changed: AccountDataChanged) -> None:
        """Replace one type of a user's account data."""
        await tx.execute(
            "INSERT INTO account_data (user_id, room_id, type, content, position)"
            " VALUES (?,?,?,?,?) ON CONFLICT (user_id, room_id, type) DO UPDATE SET"
            " content = excluded.content, position = excluded.position",
            changed.user_id, changed.room_id, changed.type, changed.content, changed.position,
        )  # fmt: skip

    async def find_account_data(
        self, tx: ReadTx, user_id: UserId, room_id: str, type_: str
    ) -> bytes | None:
        """One type of a user's account data; `room_id` is empty for global data."""
        return await tx.find_value(
            bytes,
            "SELECT content FROM account_data WHERE user_id = ? AND room_id = ? AND type = ?",
            user_id, room_id, type_,
        )  # fmt: skip

    async def account_data_of(
        self, tx: ReadTx, user_id: UserId, after: int, upto: int
    ) -> list[AccountDataChanged]:
        """A user's account data that changed in (after, upto], global and for rooms.

        For rooms joined after `after` it is all of it.
        """
        return await tx.scan(
            AccountDataRow,
            "SELECT a.position, a.user_id, a.room_id, a.type, a.content FROM account_data a"
            " LEFT JOIN members m ON m.user_id = a.user_id AND m.room_id = a.room_id"
            " AND m.membership = 'join' WHERE a.user_id = ?"
            " AND (a.position > ? OR m.entered > ?) AND a.position <= ?",
            user_id, after, after, upto,
        )  # fmt: skip

    async def account_data_changed(
        self, tx: ReadTx, after: int, upto: int
    ) -> list[AccountDataChanged]:
        """Everybody's account data that changed in (after, upto]."""
        return await tx.scan(
            AccountDataRow,
            "SELECT position, user_id, room_id, type, content FROM account_data"
            " WHERE position > ? AND position <= ?",
            after, upto,
        )  # fmt: skip

    async def account_data_by_user(
        self, tx: ReadTx, user_ids: Sequence[UserId], type_: str
    ) -> list[tuple[UserId, bytes]]:
        """One type of the global account data of several users, where they have it."""
        if not user_ids:
            return []
        return await tx.fetch(
            tuple[UserId, bytes],
            "SELECT user_id, content FROM account_data WHERE room_id = '' AND type = ?"
            f" AND user_id IN ({placeholders(len(user_ids))})",
            type_, *user_ids,
        )  # fmt: skip

    async def users_with(self, tx: ReadTx, type_: str) -> list[tuple[UserId, bytes]]:
        """Everybody who has global account data of a type."""
        return await tx.scan(
            tuple[UserId, bytes],
            "SELECT user_id, content FROM account_data WHERE room_id = '' AND type = ?",
            type_,
        )

    async def set_typing(self, tx: WriteTx, changed: TypingChanged) -> None:
        """Note that a user types until a time, or no longer."""
        await tx.execute(
            "INSERT INTO typing (room_id, user_id, until_ts, position) VALUES (?,?,?,?)"
            " ON CONFLICT (room_id, user_id) DO UPDATE SET until_ts = excluded.until_ts,"
            " position = excluded.position",
            changed.room_id, changed.user_id, changed.until_ts, changed.position,
        )  # fmt: skip

    async def typing_changed(self, tx: ReadTx, after: int, upto: int) -> list[TypingChanged]:
        """Typing that changed in (after, upto]."""
        return await tx.scan(
            TypingRow,
            "SELECT position, room_id, user_id, until_ts FROM typing"
            " WHERE position > ? AND position <= ?",
            after, upto,
        )  # fmt: skip

    async def find_typing_until(self, tx: ReadTx, room_id: RoomId, user_id: UserId) -> int:
        """Until when a user types; 0 when they do not."""
        sql = "SELECT until_ts FROM typing WHERE room_id = ? AND user_id = ?"
        return await tx.find_value(int, sql, room_id, user_id) or 0

    async def extend_typing(
        self, tx: WriteTx, room_id: RoomId, user_id: UserId, until_ts: int
    ) -> bool:
        """Let a user who types type longer; False when they do not type."""
        done = await tx.execute(
            "UPDATE typing SET until_ts = ? WHERE room_id = ? AND user_id = ? AND until_ts > 0",
            until_ts, room_id, user_id,
        )  # fmt: skip
        return done > 0

    async def set_presences(self, tx: WriteTx, changes: Sequence[PresenceChanged]) -> None:
        """Replace the presence of several users."""
        await tx.execute_many(
            "INSERT INTO presence (user_id, presence, status_msg, last_active_ts, position)"
            " VALUES (?,?,?,?,?) ON CONFLICT (user_id) DO UPDATE SET presence = excluded.presence,"
            " status_msg = excluded.status_msg, last_active_ts = excluded.last_active_ts,"
            " position = excluded.position",
            [(c.user_id, c.presence, c.status_msg, c.last_active_ts, c.position) for c in changes],
        )

    async def company(
        self, tx: ReadTx, user_id: UserId, members_max: int
    ) -> list[tuple[RoomId, UserId]]:
        """Who is in the rooms that a user has joined, apart from rooms with more members."""
        return await tx.scan(
            tuple[RoomId, UserId],
            "SELECT o.room_id, o.user_id FROM members m JOIN members o"
            " ON o.room_id = m.room_id AND o.membership = 'join'"
            f" WHERE m.user_id = ? AND m.membership = 'join' AND {_IS_SMALL}",
            user_id, members_max + 1, members_max,
        )  # fmt: skip

    async def presence_around(
        self, tx: ReadTx, user_id: UserId, span: tuple[int, int], members_max: int
    ) -> list[PresenceChanged]:
        """What changed in a span (after, upto] with those who share a room of no more members.

        In rooms that the user has joined since, all who are not offline.
        """
        after, upto = span
        return await tx.scan(
            PresenceRow,
            "SELECT DISTINCT p.position, p.user_id, p.presence, p.status_msg, p.last_active_ts"
            " FROM members m JOIN members o ON o.room_id = m.room_id AND o.membership = 'join'"
            " JOIN presence p ON p.user_id = o.user_id AND p.position <= ?"
            " AND (p.position > ? OR (m.entered > ? AND p.presence <> 'offline'))"
            f" WHERE m.user_id = ? AND m.membership = 'join' AND {_IS_SMALL}",
            upto, after, after, user_id, members_max + 1, members_max,
        )  # fmt: skip

    async def is_sharing_room(self, tx: ReadTx, one: UserId, other: UserId) -> bool:
        """Whether two users have joined the same room."""
        found = await tx.find_value(
            int,
            "SELECT 1 FROM members a JOIN members b ON b.user_id = ? AND b.room_id = a.room_id"
            " AND b.membership = 'join' WHERE a.user_id = ? AND a.membership = 'join' LIMIT 1",
            other, one,
        )  # fmt: skip
        return found is not None

    async def presence_changed(self, tx: ReadTx, after: int, upto: int) -> list[PresenceChanged]:
        """Presence that changed in (after, upto]."""
        return await tx.scan(
            PresenceRow,
            "SELECT position, user_id, presence, status_msg, last_active_ts FROM presence"
            " WHERE position > ? AND position <= ?",
            after, upto,
        )  # fmt: skip


class AccountDataRow(AccountDataChanged, frozen=True, array_like=True):
    """The change, read from a row."""


class TypingRow(TypingChanged, frozen=True, array_like=True):
    """The change, read from a row."""


class PresenceRow(PresenceChanged, frozen=True, array_like=True):
    """The change, read from a row."""
