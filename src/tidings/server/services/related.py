"""What relates to an event, page by page, and the threads of a room."""

import msgspec

from tidings.protocol.ids import EventId
from tidings.protocol.tokens import format_token
from tidings.rules.paging import END
from tidings.rules.presentation import NO_BUNDLE, View, client_event, json_array
from tidings.server.services.access import Access
from tidings.server.services.bundles import Bundles
from tidings.server.storage.database import Database
from tidings.server.storage.events import EventStore
from tidings.server.storage.relations import (
    RECURSION_DEPTH,
    RelationsPage,
    RelationStore,
    ThreadsPage,
)


class Related:
    """Reads relations for those who may see them."""

    def __init__(
        self,
        db: Database,
        events: EventStore,
        relations: RelationStore,
        access: Access,
        bundles: Bundles,
    ) -> None:
        self._db = db
        self._events = events
        self._relations = relations
        self._access = access
        self._bundles = bundles

    async def children(self, view: View, page: RelationsPage) -> bytes:
        """The body of the answer of GET …/relations/{event_id}."""
        async with self._db.read() as tx:
            sight, _ = await self._access.load_event(tx, view.user_id, page.room_id, page.event_id)
            before = min(page.before, sight.upto + 1)
            more = msgspec.structs.replace(page, before=before, limit=page.limit + 1)
            found = await self._relations.page(tx, more)
            events = [event for event in found[: page.limit] if sight.can_see(event)]
            bundles = await self._bundles.load(tx, events, view, sight.upto)
        chunk = [client_event(e, view, bundles.get(e.event_id, NO_BUNDLE)) for e in events]
        body = b'{"chunk":%b' % json_array(chunk)
        if len(found) > page.limit and page.limit:
            last = found[page.limit - 1].position
            token = format_token(last - 1 if page.backwards else last)
            body += b',"next_batch":"%b"' % token.encode()
        start = page.before - 1 if page.backwards else page.after
        if start not in (END - 1, -1):
            body += b',"prev_batch":"%b"' % format_token(start).encode()
        if page.recurse:
            body += b',"recursion_depth":%d' % RECURSION_DEPTH
        return body + b"}"

    async def threads(self, view: View, page: ThreadsPage) -> bytes:
        """The body of the answer of GET …/threads: roots with their summaries."""
        async with self._db.read() as tx:
            sight = await self._access.load_room(tx, view.user_id, page.room_id)
            before = min(page.before, sight.upto + 1)
            more = msgspec.structs.replace(page, before=before, limit=page.limit + 1)
            found = await self._relations.thread_roots(tx, more)
            ids: list[EventId] = [root for root, _ in found[: page.limit]]
            held = await self._events.find_many(tx, ids)
            roots = [held[root] for root in ids if root in held]
            roots = [e for e in roots if e.room_id == page.room_id and sight.can_see(e)]
            bundles = await self._bundles.load(tx, roots, view, sight.upto)
        chunk = [client_event(e, view, bundles.get(e.event_id, NO_BUNDLE)) for e in roots]
        body = b'{"chunk":%b' % json_array(chunk)
        if len(found) > page.limit and page.limit:
            token = format_token(found[page.limit - 1][1] - 1)
            body += b',"next_batch":"%b"' % token.encode()
        return body + b"}"
