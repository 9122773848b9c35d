"""Events by what they relate to: edits, references, threads.

Redacted events relate to nothing: their columns are emptied when they are
redacted. Events of other rooms do not count. Every read has a last position,
so that who has left is not told what came after.
"""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.server.storage.database import ReadTx, Value
from tidings.server.storage.events import SELECT, EventRow, placeholders

EDITS_CONSIDERED = 3
"""Edits read for an event: the newest may lack new content, which makes it none."""
REFERENCES_MAX = 100
"""References told for an event."""
RECURSION_DEPTH = 3


class RelationCount(msgspec.Struct, frozen=True, array_like=True):
    """How many events relate to an event in one way."""

    event_id: EventId
    room_id: RoomId
    """Of the events that relate; whoever asks compares it with that of the event."""
    rel_type: str
    count: int
    latest: StreamPosition


class RelationsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Which children of an event to read."""

    room_id: RoomId
    event_id: EventId
    rel_type: str | None = None
    type: str | None = None
    after: int
    before: int
    """Positions between these two, neither included."""
    backwards: bool = True
    recurse: bool = False
    limit: int


class ThreadsPage(msgspec.Struct, frozen=True):
    """Which threads of a room to read."""

    room_id: RoomId
    before: int
    """Threads whose latest event is before this position."""
    limit: int
    participant: UserId | None = None


class RelationStore:
    """Reads relations, for many events at once."""

    async def counts(
        self, tx: ReadTx, event_ids: Sequence[EventId], upto: int
    ) -> list[RelationCount]:
        """What relates to the events in a way that servers aggregate, up to a position."""
        if not event_ids:
            return []
        return await tx.fetch(
            RelationCount,
            "SELECT relates_to, room_id, rel_type, count(*), max(position) FROM events"
            f" WHERE relates_to IN ({placeholders(len(event_ids))})"
            " AND rel_type IN ('m.replace', 'm.reference', 'm.thread') AND position <= ?"
            " GROUP BY relates_to, room_id, rel_type",
            *event_ids, upto,
        )  # fmt: skip

    async def latest_edits(
        self, tx: ReadTx, event_ids: Sequence[EventId], upto: int
    ) -> list[Event]:
        """The few most recent edits of each of the events, by their own senders."""
        if not event_ids:
            return []
        rows = await tx.fetch(
            EventRow,
            f"{SELECT} JOIN (SELECT c.position AS position, row_number() OVER"
            " (PARTITION BY c.relates_to ORDER BY c.origin_server_ts DESC, c.event_id DESC)"
            " AS place FROM events c JOIN events t ON t.event_id = c.relates_to"
            " AND t.sender = c.sender AND t.type = c.type AND t.room_id = c.room_id"
            f" WHERE c.relates_to IN ({placeholders(len(event_ids))})"
            " AND c.rel_type = 'm.replace' AND c.state_key IS NULL AND c.position <= ?) n"
            " ON n.position = e.position WHERE n.place <= ?",
            *event_ids, upto, EDITS_CONSIDERED,
        )  # fmt: skip
        return [*rows]

    async def references(
        self, tx: ReadTx, event_ids: Sequence[EventId], upto: int
    ) -> list[tuple[EventId, RoomId, EventId]]:
        """(event, room, what refers to it there), the oldest first, a bounded number for each."""
        if not event_ids:
            return []
        return await tx.fetch(
            tuple[EventId, RoomId, EventId],
            "SELECT relates_to, room_id, event_id FROM"
            " (SELECT relates_to, room_id, event_id, position, row_number() OVER"
            " (PARTITION BY relates_to, room_id ORDER BY position) AS place FROM events"
            f" WHERE relates_to IN ({placeholders(len(event_ids))})"
            " AND rel_type = 'm.reference' AND position <= ?) n WHERE place <= ? ORDER BY position",
            *event_ids, upto, REFERENCES_MAX,
        )  # fmt: skip

    async def at(self, tx: ReadTx, positions: Sequence[int]) -> list[Event]:
        """The events at some positions."""
        if not positions:
            return []
        sql = f"{SELECT} WHERE e.position IN ({placeholders(len(positions))})"
        return [*await tx.fetch(EventRow, sql, *positions)]

    async def threads_with(
        self, tx: ReadTx, roots: Sequence[EventId], user_id: UserId
    ) -> frozenset[tuple[EventId, RoomId]]:
        """Those of the threads in which the user has written, with the room of what they wrote."""
        if not roots:
            return frozenset()
        rows = await tx.fetch(
            tuple[EventId, RoomId],
            "SELECT DISTINCT relates_to, room_id FROM events WHERE relates_to IN"
            f" ({placeholders(len(roots))}) AND rel_type = 'm.thread' AND sender = ?",
            *roots, user_id,
        )  # fmt: skip
        return frozenset(rows)

    async def page(self, tx: ReadTx, page: RelationsPage) -> list[Event]:
        """The children of an event, the newest or the oldest first."""
        conditions = ["e.room_id = ?", "e.position > ?", "e.position < ?"]
        values: list[Value] = [page.room_id, page.after, page.before]
        for column, value in (("e.rel_type", page.rel_type), ("e.type", page.type)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        order = "DESC" if page.backwards else "ASC"
        related, which = "", "e.relates_to = ?"
        if page.recurse:
            related = (
                "WITH RECURSIVE related (event_id, depth) AS"
                " (SELECT event_id, 1 FROM events WHERE relates_to = ? UNION SELECT c.event_id,"
                " r.depth + 1 FROM related r JOIN events c ON c.relates_to = r.event_id"
                f" WHERE r.depth < {RECURSION_DEPTH}) "
            )
            which = "e.event_id IN (SELECT event_id FROM related)"
        rows = await tx.scan(
            EventRow,
            f"{related}{SELECT} WHERE {which} AND {' AND '.join(conditions)}"
            f" ORDER BY e.position {order} LIMIT ?",
            page.event_id, *values, page.limit,
        )  # fmt: skip
        return [*rows]

    async def thread_roots(
        self, tx: ReadTx, page: ThreadsPage
    ) -> list[tuple[EventId, StreamPosition]]:
        """Roots by their threads' latest event, the most recent first; perhaps of a participant."""
        having: str = ""
        args: tuple[UserId, ...] = ()
        if page.participant is not None:
            having = (
                " AND (max(CASE WHEN sender = ? THEN 1 ELSE 0 END) = 1 OR EXISTS (SELECT 1 FROM"
                " events t WHERE t.event_id = events.relates_to AND t.sender = ?))"
            )
            args = (page.participant, page.participant)
        return await tx.scan(
            tuple[EventId, StreamPosition],
            "SELECT relates_to, max(position) FROM events WHERE room_id = ?"
            " AND thread_id IS NOT NULL AND rel_type = 'm.thread' GROUP BY relates_to"
            f" HAVING max(position) < ?{having} ORDER BY 2 DESC LIMIT ?",
            page.room_id, page.before, *args, page.limit,
        )  # fmt: skip
