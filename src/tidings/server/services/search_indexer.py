"""Keeps the full-text index level with the committed events.

It reads what was appended after the index's checkpoint, in the order of
positions, which is the order of commits: nothing can be missed, and after a
crash it goes on where the index's own transaction ended. Senders never wait.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, StreamPosition
from tidings.rules.relations import REPLACEMENT, find_latest_edit
from tidings.rules.search_documents import TYPES, current_text, document_tokens
from tidings.rules.stream import Change, EventAppended
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.events import EventStore, redacts_of
from tidings.server.storage.relations import RelationStore
from tidings.server.storage.search import (
    BEGINNING,
    Batch,
    Checkpoint,
    Document,
    SearchIndex,
    SearchSource,
)

EVENTS_AT_ONCE = 200
"""Events in a batch: bounds what is held in memory, and how long the interpreter is kept busy."""
PATIENCE_S = 1.0
"""How long a search waits for the index to hold what was said before it."""
_NEWS = frozenset((*TYPES, "m.room.redaction"))


class SearchIndexer:
    """Follows the stream into the index."""

    def __init__(
        self,
        db: Database,
        index: SearchIndex,
        source: SearchSource,
        events: EventStore,
        relations: RelationStore,
    ) -> None:
        self._db = db
        self._index = index
        self._source = source
        self._events = events
        self._relations = relations
        self._checkpoint = BEGINNING
        """What the index has noted."""
        self.position = 0
        """Everything up to here is in the index; the checkpoint is not moved by other news."""
        self._is_started = False
        self._wanted = 0
        """The position of the last event that concerns the index."""
        self._news = asyncio.Event()
        self._searched = asyncio.Event()
        self._moved = asyncio.Condition()

    async def start(self) -> None:
        """Find out where to go on; an index of another stream or of older rules is made anew."""
        checkpoint = await self._index.checkpoint()
        async with self._db.read() as tx:
            is_ours = await self._source.has(tx, checkpoint)
        if not is_ours or checkpoint == BEGINNING:
            await self._index.clear()
            checkpoint = BEGINNING
        self._checkpoint, self.position = checkpoint, checkpoint.position
        self._wanted = self._db.position
        self._is_started = True
        self._news.set()

    def watch(self, changes: Sequence[Change]) -> None:
        """Take up that there is something to index."""
        for change in changes:
            if isinstance(change, EventAppended) and change.event.type in _NEWS:
                self._wanted = change.position
                self._news.set()

    async def wait_for_news(self) -> None:
        """Return when the index is behind."""
        await self._news.wait()

    async def gather(self, longest_s: float) -> None:
        """Let news come together, until somebody searches."""
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._searched.wait()
        self._searched.clear()

    async def wait_until_level(self) -> None:
        """Return when what was said until now can be found, or after a moment's patience."""
        self._searched.set()
        wanted = self._wanted if self._is_started else self._db.position
        try:
            async with asyncio.timeout(PATIENCE_S), self._moved:
                await self._moved.wait_for(lambda: self.position >= wanted)
        except TimeoutError:
            return

    async def catch_up(self) -> None:
        """Index everything that is committed."""
        self._news.clear()
        try:
            has_more = True
            while has_more:
                has_more = await self._step()
        except BaseException:
            self._news.set()
            raise

    async def _step(self) -> bool:
        """Index a batch; whether there is more."""
        before = self._checkpoint
        async with self._db.read() as tx:
            upto = await tx.snapshot_position()
            news = await self._source.appended(tx, self.position, upto, EVENTS_AT_ONCE)
            changed, gone = await self._changed(tx, news)
            edits = await self._edits(tx, changed, upto)
        if not news:
            await self._move(before, upto)
            return False
        is_last = len(news) < EVENTS_AT_ONCE
        originals = {event.position: event for event in (*news, *changed)}
        documents = await asyncio.to_thread(_documents, originals, edits)
        removed = [*gone, *(event.position for event in changed)]
        last = news[-1]
        checkpoint = Checkpoint(upto if is_last else last.position, last.position, last.event_id)
        if not await self._index.apply(before, Batch(documents, removed, checkpoint)):
            checkpoint = await self._index.checkpoint()  # another process was faster
            is_last = False
        await self._move(checkpoint, checkpoint.position)
        return not is_last

    async def _move(self, checkpoint: Checkpoint, position: int) -> None:
        async with self._moved:
            self._checkpoint, self.position = checkpoint, position
            self._moved.notify_all()

    async def _changed(
        self, tx: ReadTx, news: Sequence[Event]
    ) -> tuple[list[Event], list[StreamPosition]]:
        """Events whose text is another because of the news, and positions of those redacted."""
        edited = {e.relates_to for e in news if e.rel_type == REPLACEMENT}
        redacted = [target for event in news if (target := redacts_of(event)) is not None]
        named = await self._events.find_many(
            tx, [target for target in {*edited, *redacted} if target is not None]
        )
        gone = [named[target].position for target in redacted if target in named]
        changed = [event for event in named.values() if event.event_id in edited]
        if gone:
            # A redacted edit no longer tells what it edited; the index does.
            found = await self._source.at(tx, await self._index.documents_from(gone))
            changed += found.values()
        return [event for event in changed if event.type in TYPES], gone

    async def _edits(
        self, tx: ReadTx, originals: Sequence[Event], upto: int
    ) -> dict[EventId, list[Event]]:
        edits: dict[EventId, list[Event]] = {}
        ids = [event.event_id for event in originals]
        for edit in await self._relations.latest_edits(tx, ids, upto):
            if edit.relates_to is not None:
                edits.setdefault(edit.relates_to, []).append(edit)
        return edits


def _documents(
    originals: Mapping[StreamPosition, Event], edits: Mapping[EventId, Sequence[Event]]
) -> list[Document]:
    """What the events are found by now. Runs in a thread: it takes milliseconds."""
    documents = []
    for position in sorted(originals):
        event = originals[position]
        edit = find_latest_edit(event, edits.get(event.event_id, ()))
        text = current_text(event, edit)
        if text is not None:
            source = edit.position if edit else None
            documents.append(Document(event.position, document_tokens(event, text), source))
    return documents
