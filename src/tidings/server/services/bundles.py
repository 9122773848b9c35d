"""Loads what is bundled with events: the redaction that emptied them, edits, threads, references.

One query asks what relates to all events of an answer; the others run only
for what it found. None depends on how many events there are.
"""

from collections.abc import Mapping, Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId
from tidings.rules.aggregations import ThreadSummary, encode_relations
from tidings.rules.paging import END
from tidings.rules.presentation import NO_BUNDLE, Bundle, View, client_event
from tidings.rules.relations import find_latest_edit
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import EventStore
from tidings.server.storage.relations import RelationCount, RelationStore


class _Found(msgspec.Struct):
    """What relates to the events of an answer."""

    edits: Mapping[EventId, list[Event]]
    threads: Mapping[EventId, RelationCount]
    latest: Mapping[int, Event]
    participated: frozenset[tuple[EventId, str]]
    references: Mapping[EventId, list[EventId]]


class Bundles:
    """Loads bundles for many events at once."""

    def __init__(self, events: EventStore, relations: RelationStore) -> None:
        self._events = events
        self._relations = relations

    async def load(
        self, tx: ReadTx, events: Sequence[Event], view: View, upto: int = END
    ) -> dict[EventId, Bundle]:
        """The bundles of those events that have one; relations after `upto` do not count."""
        redactions = await self._redactions(tx, events, view)
        found = await self._find(tx, events, view, upto)
        bundles = {}
        for event in events:
            relations = _relations(event, found, view) if found else b""
            redaction = redactions.get(event.event_id, b"")
            if relations or redaction:
                bundles[event.event_id] = Bundle(relations, redaction)
        return bundles

    async def _redactions(
        self, tx: ReadTx, events: Sequence[Event], view: View
    ) -> dict[EventId, bytes]:
        ids = {event.redacted_by: event.event_id for event in events if event.redacted_by}
        redactions = await self._events.find_many(tx, list(ids))
        return {
            ids[redaction_id]: client_event(redaction, view)
            for redaction_id, redaction in redactions.items()
        }

    async def _find(
        self, tx: ReadTx, events: Sequence[Event], view: View, upto: int
    ) -> _Found | None:
        rooms = {event.event_id: event.room_id for event in events}
        counts = [
            count
            for count in await self._relations.counts(tx, list(rooms), upto)
            if rooms[count.event_id] == count.room_id
        ]
        if not counts:
            return None
        threads = {each.event_id: each for each in counts if each.rel_type == "m.thread"}
        latest = await self._relations.at(tx, [each.latest for each in threads.values()])
        edited = [each.event_id for each in counts if each.rel_type == "m.replace"]
        edited += [event.event_id for event in latest]
        referred = [each.event_id for each in counts if each.rel_type == "m.reference"]
        edits: dict[EventId, list[Event]] = {}
        for edit in await self._relations.latest_edits(tx, edited, upto):
            if edit.relates_to is not None:
                edits.setdefault(edit.relates_to, []).append(edit)
        references: dict[EventId, list[EventId]] = {}
        for target, room_id, event_id in await self._relations.references(tx, referred, upto):
            if rooms[target] == room_id:
                references.setdefault(target, []).append(event_id)
        return _Found(
            edits=edits,
            threads=threads,
            latest={event.position: event for event in latest},
            participated=await self._relations.threads_with(tx, list(threads), view.user_id),
            references=references,
        )


def _relations(event: Event, found: _Found, view: View) -> bytes:
    return encode_relations(
        _edit(event, found, view),
        _thread(event, found, view),
        found.references.get(event.event_id, ()),
    )


def _edit(event: Event, found: _Found, view: View) -> bytes | None:
    edit = find_latest_edit(event, found.edits.get(event.event_id, ()))
    return None if edit is None else client_event(edit, view)


def _thread(root: Event, found: _Found, view: View) -> ThreadSummary | None:
    thread = found.threads.get(root.event_id)
    latest = found.latest.get(thread.latest) if thread else None
    if thread is None or latest is None:
        return None
    edit = _edit(latest, found, view)
    bundle = Bundle(encode_relations(edit, None, ())) if edit else NO_BUNDLE
    has_written = (root.event_id, root.room_id) in found.participated
    return ThreadSummary(
        client_event(latest, view, bundle), thread.count, has_written or root.sender == view.user_id
    )
