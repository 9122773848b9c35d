"""The events table: a room's one line of history."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import Draft, Event, JsonObject
from tidings.protocol.ids import DeviceId, EventId, RoomId, StreamPosition, UserId
from tidings.server.storage.database import ReadTx, WriteTx

COLUMNS = """e.position, e.event_id, e.room_id, e.type, e.state_key, e.sender,
    e.origin_server_ts, e.json, e.replaces, e.relates_to, e.rel_type, e.thread_id,
    e.redacted_by, e.loud, e.is_loud, e.device_id, e.txn_id, p.json, p.event_id, p.sender"""
SELECT = f"SELECT {COLUMNS} FROM events e LEFT JOIN events p ON p.position = e.replaces"
"""An event and the state event it replaced, which is shown in its unsigned part."""


_VISIBILITY = "history_visibility"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a room to read: those between two positions, neither included."""

    after: int = -1
    before: int
    backwards: bool
    limit: int


class EventRow(Event, frozen=True, dict=True, array_like=True):
    """An event, read from a row of SELECT."""


class _Content(msgspec.Struct):
    content: JsonObject


_decode_content = msgspec.json.Decoder(_Content).decode


class _Redacts(msgspec.Struct):
    redacts: EventId | None = None


_decode_redacts = msgspec.json.Decoder(_Redacts).decode


def redacts_of(event: Event) -> EventId | None:
    """The event that a redaction names; the client format names it beside the content too."""
    if event.type != "m.room.redaction":
        return None
    return _decode_redacts(event.json).redacts


def placeholders(count: int) -> str:
    """`?,?,?` for a list of that many values."""
    return ",".join("?" * count)


class EventStore:
    """Reads and appends events."""

    async def append(self, tx: WriteTx, event: Event, pdu: bytes, depth: int) -> None:
        """Add an event at its position; the caller has authorised it."""
        await tx.execute(
            "INSERT INTO events (position, event_id, room_id, depth, type, state_key, sender,"
            " origin_server_ts, json, pdu, replaces, relates_to, rel_type, thread_id, loud,"
            " is_loud, device_id, txn_id) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            event.position, event.event_id, event.room_id, depth, event.type, event.state_key,
            event.sender, event.origin_server_ts, event.json, pdu, event.replaces,
            event.relates_to, event.rel_type, event.thread_id, event.loud, event.is_loud,
            event.device_id, event.txn_id,
        )  # fmt: skip

    async def find_by_txn(
        self, tx: ReadTx, draft: Draft, device_id: DeviceId, txn_id: str
    ) -> EventId | None:
        """The event that a device's transaction id has already made, of the type and in the room.

        The id is a name for one endpoint only: sending and redacting may use the same.
        """
        return await tx.find_value(
            EventId,
            "SELECT event_id FROM events WHERE room_id = ? AND sender = ? AND device_id = ?"
            " AND txn_id = ? AND type = ?",
            draft.room_id, draft.sender, device_id, txn_id, draft.type,
        )  # fmt: skip

    async def find(self, tx: ReadTx, event_id: EventId) -> Event | None:
        """An event by its id, whoever may see it."""
        return await tx.find(EventRow, f"{SELECT} WHERE e.event_id = ?", event_id)

    async def find_many(self, tx: ReadTx, event_ids: Sequence[EventId]) -> dict[EventId, Event]:
        """Those of the events that exist."""
        if not event_ids:
            return {}
        sql = f"{SELECT} WHERE e.event_id IN ({placeholders(len(event_ids))})"
        return {row.event_id: row for row in await tx.fetch(EventRow, sql, *event_ids)}

    async def pdu_parts(self, tx: ReadTx, event_id: EventId) -> tuple[bytes, bytes] | None:
        """The two stored halves of an event's PDU."""
        sql = "SELECT json, pdu FROM events WHERE event_id = ?"
        return await tx.find(tuple[bytes, bytes], sql, event_id)

    async def replace_content(
        self, tx: WriteTx, event_id: EventId, json: bytes, redacted_by: EventId
    ) -> None:
        """Keep only the redacted form of an event."""
        await tx.execute(
            "UPDATE events SET json = ?, redacted_by = ?, relates_to = NULL, rel_type = NULL"
            " WHERE event_id = ?",
            json, redacted_by, event_id,
        )  # fmt: skip

    async def page(self, tx: ReadTx, room_id: RoomId, span: "Span") -> list[Event]:
        """A stretch of a room's history, the newest or the oldest first."""
        order = "DESC" if span.backwards else "ASC"
        rows = await tx.scan(
            EventRow,
            f"{SELECT} WHERE e.room_id = ? AND e.position > ? AND e.position < ?"
            f" ORDER BY e.position {order} LIMIT ?",
            room_id, span.after, span.before, span.limit,
        )  # fmt: skip
        return [*rows]

    async def current_state(self, tx: ReadTx, room_id: RoomId) -> list[Event]:
        """The state events that hold now."""
        rows = await tx.scan(
            EventRow,
            f"SELECT {COLUMNS} FROM state s JOIN events e ON e.position = s.position"
            " LEFT JOIN events p ON p.position = e.replaces WHERE s.room_id = ?",
            room_id,
        )
        return [*rows]

    async def state_at(self, tx: ReadTx, room_id: RoomId, position: int) -> list[Event]:
        """The latest state event of each key up to and including the position."""
        rows = await tx.scan(
            EventRow,
            f"{SELECT} JOIN (SELECT max(position) AS position FROM events WHERE room_id = ?"
            " AND state_key IS NOT NULL AND position <= ? GROUP BY type, state_key) s"
            " ON s.position = e.position",
            room_id, position,
        )  # fmt: skip
        return [*rows]

    async def state_of_keys_at(
        self, tx: ReadTx, room_id: RoomId, keys: Sequence[tuple[str, str]], position: int
    ) -> list[Event]:
        """The state events that some keys had at the position."""
        if not keys:
            return []
        pairs = ",".join(["(?,?)"] * len(keys))
        rows = await tx.scan(
            EventRow,
            f"{SELECT} JOIN (SELECT max(position) AS position FROM events WHERE room_id = ?"
            f" AND state_key IS NOT NULL AND (type, state_key) IN (VALUES {pairs})"
            " AND position <= ? GROUP BY type, state_key) s ON s.position = e.position",
            room_id, *(part for key in keys for part in key), position,
        )  # fmt: skip
        return [*rows]

    async def state_event_at(
        self, tx: ReadTx, room_id: RoomId, key: tuple[str, str], position: int
    ) -> Event | None:
        """The state event of one key that held at the position."""
        return await tx.find(
            EventRow,
            f"{SELECT} WHERE e.room_id = ? AND e.type = ? AND e.state_key = ?"
            " AND e.position <= ? ORDER BY e.position DESC LIMIT 1",
            room_id, key[0], key[1], position,
        )  # fmt: skip

    async def history_of(
        self, tx: ReadTx, room_id: RoomId, type_: str, state_key: str
    ) -> list[Event]:
        """All state events a key ever had, oldest first."""
        rows = await tx.fetch(
            EventRow,
            f"{SELECT} WHERE e.room_id = ? AND e.type = ? AND e.state_key = ? ORDER BY e.position",
            room_id, type_, state_key,
        )  # fmt: skip
        return [*rows]

    async def sight_history(
        self, tx: ReadTx, room_id: RoomId, user_id: UserId
    ) -> list[tuple[StreamPosition, str, str]]:
        """Position, type and value of all that decides what of a room a user may see, in order.

        The values are those of `m.room.history_visibility` and of the user's membership.
        """
        rows = await tx.fetch(
            tuple[StreamPosition, str, bytes],
            "SELECT position, type, json FROM events WHERE room_id = ?"
            " AND type = 'm.room.history_visibility' AND state_key = '' UNION ALL"
            " SELECT position, type, json FROM events WHERE room_id = ?"
            " AND type = 'm.room.member' AND state_key = ? ORDER BY 1",
            room_id, room_id, user_id,
        )  # fmt: skip
        key = {"m.room.member": "membership"}
        return [
            (position, type_, str(_decode_content(json).content.get(key.get(type_, _VISIBILITY))))
            for position, type_, json in rows
        ]

    async def last(self, tx: ReadTx, room_id: RoomId) -> "Tip | None":
        """Where the next event is to be added."""
        return await tx.find(
            Tip,
            "SELECT event_id, depth, loud, position FROM events WHERE room_id = ?"
            " ORDER BY position DESC LIMIT 1",
            room_id,
        )

    async def first_from(
        self, tx: ReadTx, room_id: RoomId, position: int
    ) -> tuple[StreamPosition, int] | None:
        """Position and time of the room's first event at or after a position."""
        return await tx.find(
            tuple[StreamPosition, int],
            "SELECT position, origin_server_ts FROM events WHERE room_id = ? AND position >= ?"
            " ORDER BY position LIMIT 1",
            room_id, position,
        )  # fmt: skip

    async def appended(self, tx: ReadTx, after: int, upto: int) -> list[Event]:
        """What was appended in (after, upto], in order."""
        rows = await tx.scan(
            EventRow,
            f"{SELECT} WHERE e.position > ? AND e.position <= ? ORDER BY e.position",
            after, upto,
        )  # fmt: skip
        return [*rows]


class Tip(msgspec.Struct, frozen=True, array_like=True):
    """The last event of a room."""

    event_id: EventId
    depth: int
    loud: int
    position: StreamPosition
