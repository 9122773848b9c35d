"""A room's past: pages of its history, an event in its context, the event nearest to a time."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.errors import NotFound
from tidings.protocol.events import Event
from tidings.protocol.filters import RoomEventFilter
from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.protocol.tokens import format_token
from tidings.rules.paging import END
from tidings.rules.presentation import NO_BUNDLE, View, client_event, json_array
from tidings.server.live.rooms import MEMBER
from tidings.server.services.access import Access, Sight
from tidings.server.services.bundles import Bundles
from tidings.server.services.pages import Pages, Wanted
from tidings.server.services.past import PastState
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.events import EventStore

NEIGHBOURS = 100


class History:
    """Reads the past of rooms for those who may see it."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        events: EventStore,
        pages: Pages,
        access: Access,
        bundles: Bundles,
        past: PastState,
    ) -> None:
        self._db = db
        self._events = events
        self._pages = pages
        self._access = access
        self._bundles = bundles
        self._past = past

    async def messages(self, view: View, room_id: RoomId, wanted: Wanted) -> bytes:
        """The body of the answer of GET …/messages."""
        async with self._db.read() as tx:
            sight = await self._access.load_room(tx, view.user_id, room_id)
            wanted = _begun(wanted, sight)
            page = await self._pages.read(tx, sight, wanted)
            shown = await self._show(tx, sight, page.events, view)
            members = await self._members(tx, sight, page.events, wanted.filter)
        start = wanted.before - 1 if wanted.backwards else wanted.after
        body = b'{"chunk":%b,"start":"%b"' % (json_array(shown), format_token(start).encode())
        if page.last is not None:
            end = page.last - 1 if wanted.backwards else page.last
            body += b',"end":"%b"' % format_token(end).encode()
        if members:
            state = json_array([client_event(event, view) for event in members])
            body += b',"state":' + state
        return body + b"}"

    async def event(self, view: View, room_id: RoomId, event_id: EventId) -> bytes:
        """One event."""
        async with self._db.read() as tx:
            sight, event = await self._access.load_event(tx, view.user_id, room_id, event_id)
            return (await self._show(tx, sight, [event], view))[0]

    async def context(
        self, view: View, room_id: RoomId, event_id: EventId, wanted: Wanted
    ) -> bytes:
        """The body of the answer of GET …/context: an event, what is around it, the state."""
        async with self._db.read() as tx:
            sight, event = await self._access.load_event(tx, view.user_id, room_id, event_id)
            place, few = event.position, wanted.limit // 2
            earlier = Wanted(before=place, backwards=True, limit=few, filter=wanted.filter)
            before = (await self._pages.read(tx, sight, earlier)).events
            later = Wanted(
                after=place, backwards=False, limit=wanted.limit - len(before), filter=wanted.filter
            )
            after = (await self._pages.read(tx, sight, later)).events
            events = [event, *before, *after]
            shown = await self._show(tx, sight, events, view)
            last = after[-1].position if after else place
            state = await self._state(tx, sight, (last, events), wanted.filter)
        start = (before[-1].position if before else place) - 1
        return (
            b'{"start":"%b","end":"%b","event":%b,"events_before":%b,"events_after":%b,"state":%b}'
            % (
                format_token(start).encode(),
                format_token(last).encode(),
                shown[0],
                json_array(shown[1 : 1 + len(before)]),
                json_array(shown[1 + len(before) :]),
                json_array([client_event(each, view) for each in state]),
            )
        )

    async def nearest(
        self, user_id: UserId, room_id: RoomId, ts: int, *, backwards: bool
    ) -> tuple[EventId, int]:
        """The visible event nearest to a time, not after it or not before it; raises NotFound."""
        async with self._db.read() as tx:
            sight = await self._access.load_room(tx, user_id, room_id)
            place = await self._first_at(tx, sight, ts + 1 if backwards else ts)
            wanted = Wanted(
                after=-1 if backwards else place - 1,
                before=place if backwards else END,
                backwards=backwards,
                limit=NEIGHBOURS,
            )
            page = await self._pages.read(tx, sight, wanted)
        for event in page.events:
            if event.origin_server_ts == ts or (event.origin_server_ts < ts) == backwards:
                return event.event_id, event.origin_server_ts
        raise NotFound("There is no event in that direction")

    async def _first_at(self, tx: ReadTx, sight: Sight, ts: int) -> int:
        """Where the room's events begin to be as late as a time, found by halving.

        Times follow positions but for a clock set back, which makes the answer less near.
        """
        low, high = 0, sight.room.tip.position + 1
        while low < high:
            middle = (low + high) // 2
            event = await self._events.first_from(tx, sight.room.room_id, middle)
            if event is None or event[1] >= ts:
                high = middle
            else:
                low = event[0] + 1
        return low

    async def _show(
        self, tx: ReadTx, sight: Sight, events: Sequence[Event], view: View
    ) -> list[bytes]:
        bundles = await self._bundles.load(tx, events, view, sight.upto)
        return [
            client_event(
                event,
                view,
                bundles.get(event.event_id, NO_BUNDLE),
                sight.membership_at(event.position),
            )
            for event in events
        ]

    async def _members(
        self, tx: ReadTx, sight: Sight, events: Sequence[Event], chosen: RoomEventFilter
    ) -> list[Event]:
        """The member events of those who sent the events, where they are asked for."""
        if not chosen.lazy_load_members or not events:
            return []
        keys = [(MEMBER, sender) for sender in dict.fromkeys(event.sender for event in events)]
        return await self._past.keys_at(tx, sight.room, keys, events[0].position)

    async def _state(
        self,
        tx: ReadTx,
        sight: Sight,
        context: tuple[int, Sequence[Event]],
        chosen: RoomEventFilter,
    ) -> list[Event]:
        position, events = context
        senders = {event.sender for event in events} if chosen.lazy_load_members else None
        state = await self._past.at(tx, sight.room, position, senders)
        return [event for event in state if chosen.passes(event)]


def _begun(wanted: Wanted, sight: Sight) -> Wanted:
    """A page that starts nowhere in particular starts at an end of what is shown."""
    newest = min(sight.room.tip.position, sight.upto)
    if wanted.backwards and wanted.before == END:
        return msgspec.structs.replace(wanted, before=newest + 1)
    return wanted
