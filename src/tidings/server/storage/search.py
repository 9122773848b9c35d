"""The full-text index behind one Protocol, and what is read from the events to fill it.

Law: the index is made of the events and can be made again from them. It has
connections and transactions of its own, so that whoever sends a message never
waits for it; its checkpoint is committed with the documents it speaks of. What
it finds are candidates: who reads them looks at the events themselves.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.rules.search_documents import TYPES
from tidings.rules.search_query import Clause
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import SELECT, EventRow, placeholders


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """How far the index has followed the stream, and what it saw last: which stream that is."""

    position: int
    event_position: int
    event_id: EventId


BEGINNING = Checkpoint(0, 0, EventId(""))


class Document(msgspec.Struct, frozen=True):
    """What an event is found by."""

    position: StreamPosition
    tokens: str
    """Separated by spaces."""
    source: StreamPosition | None
    """The edit that its text is from."""


class Batch(msgspec.Struct, frozen=True):
    """What to remove, then what to write, and how far the index is afterwards."""

    documents: Sequence[Document]
    removed: Sequence[int]
    """Documents that are there, or may be: to be gone, or written anew."""
    checkpoint: Checkpoint


class Sought(msgspec.Struct, frozen=True):
    """Candidates to find, the newest first."""

    clauses: Sequence[Clause]
    before: int
    limit: int


class Hit(msgspec.Struct, frozen=True, array_like=True):
    """A candidate: the position of the event, and that of the edit its text is from."""

    position: StreamPosition
    source: StreamPosition | None


class SearchIndex(Protocol):
    """An index in a database; the two implementations are SQLite and PostgreSQL."""

    async def open(self) -> None:
        """Connect; raises StorageError."""

    async def close(self) -> None:
        """Disconnect."""

    async def checkpoint(self) -> Checkpoint:
        """How far the index is; the beginning where it was made by other rules."""

    async def clear(self) -> None:
        """Remove everything, to begin anew."""

    async def apply(self, expected: Checkpoint, batch: Batch) -> bool:
        """Write a batch; False when another process has moved the checkpoint meanwhile."""

    async def find(self, sought: Sought) -> list[Hit]:
        """Candidates that hold all clauses."""

    async def documents_from(self, sources: Sequence[int]) -> list[int]:
        """The documents whose text is from one of the edits."""


class _Content(msgspec.Struct):
    content: JsonObject


_decode = msgspec.json.Decoder(_Content).decode


class SearchSource:
    """Reads the events that are to be indexed, and those that were found."""

    async def appended(self, tx: ReadTx, after: int, upto: int, limit: int) -> list[Event]:
        """What concerns the index in (after, upto], in order."""
        kinds = (*TYPES, "m.room.redaction")
        rows = await tx.scan(
            EventRow,
            f"{SELECT} WHERE e.position > ? AND e.position <= ?"
            f" AND e.type IN ({placeholders(len(kinds))}) ORDER BY e.position LIMIT ?",
            after, upto, *kinds, limit,
        )  # fmt: skip
        return [*rows]

    async def at(self, tx: ReadTx, positions: Sequence[int]) -> dict[int, Event]:
        """The events at some positions."""
        if not positions:
            return {}
        sql = f"{SELECT} WHERE e.position IN ({placeholders(len(positions))})"
        return {row.position: row for row in await tx.scan(EventRow, sql, *positions)}

    async def sight_histories(
        self, tx: ReadTx, user_id: UserId, room_ids: Sequence[RoomId]
    ) -> list[tuple[RoomId, StreamPosition, str, JsonObject]]:
        """Room, position, type and content of all that decides what of rooms a user may see."""
        if not room_ids:
            return []
        places = placeholders(len(room_ids))
        rows = await tx.scan(
            tuple[RoomId, StreamPosition, str, bytes],
            f"SELECT room_id, position, type, json FROM events WHERE room_id IN ({places})"
            " AND type = 'm.room.history_visibility' AND state_key = '' UNION ALL"
            f" SELECT room_id, position, type, json FROM events WHERE room_id IN ({places})"
            " AND type = 'm.room.member' AND state_key = ? ORDER BY 2",
            *room_ids, *room_ids, user_id,
        )  # fmt: skip
        return [(room, place, type_, _decode(json).content) for room, place, type_, json in rows]

    async def has(self, tx: ReadTx, checkpoint: Checkpoint) -> bool:
        """Whether the stream is the one that the checkpoint was made in."""
        if checkpoint == BEGINNING:
            return True
        sql = "SELECT event_id FROM events WHERE position = ?"
        found = await tx.find_value(str, sql, checkpoint.event_position)
        is_known = found == checkpoint.event_id or not checkpoint.event_id
        return is_known and checkpoint.position <= await tx.snapshot_position()
