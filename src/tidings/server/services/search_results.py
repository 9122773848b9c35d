"""What a search answers: events as a client is shown them, with what surrounds them."""

from collections.abc import Iterable, Sequence

import msgspec

from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId
from tidings.protocol.tokens import format_token
from tidings.rules.presentation import NO_BUNDLE, View, client_event, json_array
from tidings.rules.search_query import HIGHLIGHTS_MAX, highlights
from tidings.server.live.rooms import MEMBER
from tidings.server.services.access import Access, Sight
from tidings.server.services.bundles import Bundles
from tidings.server.services.pages import Pages, Wanted
from tidings.server.services.past import PastState
from tidings.server.services.search import Answer, Found, Group, Search
from tidings.server.services.search_request import Around, SearchRequest, format_mark
from tidings.server.storage.database import Database, ReadTx


class _Surroundings(msgspec.Struct):
    before: Sequence[Event] = ()
    after: Sequence[Event] = ()


class SearchResults:
    """Answers searches."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        search: Search,
        access: Access,
        pages: Pages,
        past: PastState,
        bundles: Bundles,
    ) -> None:
        self._db = db
        self._search = search
        self._access = access
        self._pages = pages
        self._past = past
        self._bundles = bundles

    async def answer(self, view: View, request: SearchRequest) -> bytes:
        """The value of `room_events` in the answer of POST …/search."""
        await self._search.wait_until_level()
        async with self._db.read() as tx:
            found = await self._search.find(tx, request)
            sights = await self._sights(tx, view, found.page)
            page = [each for each in found.page if each.event.room_id in sights]
            results = [
                await self._result(tx, each, (sights[each.event.room_id], view), request.around)
                for each in page
            ]
            members = [
                b'"count":%d' % found.count,
                b'"highlights":' + msgspec.json.encode(_highlights(found)),
                b'"results":' + json_array(results),
            ]
            if request.include_state:
                members.append(b'"state":' + await self._state(tx, sights.values(), view))
        if request.group_by:
            members.append(b'"groups":' + msgspec.json.encode(_groups(found)))
        if found.next is not None:
            members.append(b'"next_batch":"%b"' % format_mark(found.next).encode())
        return b"{" + b",".join(members) + b"}"

    async def _sights(self, tx: ReadTx, view: View, page: Sequence[Answer]) -> dict[RoomId, Sight]:
        sights: dict[RoomId, Sight] = {}
        for room_id in dict.fromkeys(answer.event.room_id for answer in page):
            try:
                sights[room_id] = await self._access.load_room(tx, view.user_id, room_id)
            except Forbidden:  # since the snapshot they were removed: nothing of it is shown
                continue
        return sights

    async def _result(
        self, tx: ReadTx, answer: Answer, seen: tuple[Sight, View], around: Around | None
    ) -> bytes:
        sight, view = seen
        event = answer.event
        surroundings = _Surroundings()
        if around is not None:
            surroundings = await self._surroundings(tx, sight, event, around)
        before, after = surroundings.before, surroundings.after
        events = [event, *before, *after]
        bundles = await self._bundles.load(tx, events, view, sight.upto)
        shown = [
            client_event(
                each,
                view,
                bundles.get(each.event_id, NO_BUNDLE),
                sight.membership_at(each.position),
            )
            for each in events
        ]
        result = b'{"rank":%b,"result":%b' % (msgspec.json.encode(answer.score), shown[0])
        if around is None:
            return result + b"}"
        start = (before[-1].position if before else event.position) - 1
        end = after[-1].position if after else event.position
        context = b'{"start":"%b","end":"%b","events_before":%b,"events_after":%b' % (
            format_token(start).encode(),
            format_token(end).encode(),
            json_array(shown[1 : 1 + len(before)]),
            json_array(shown[1 + len(before) :]),
        )
        if around.include_profile:
            profiles = await self._profiles(tx, sight, events)
            context += b',"profile_info":' + msgspec.json.encode(profiles)
        return result + b',"context":' + context + b"}}"

    async def _surroundings(
        self, tx: ReadTx, sight: Sight, event: Event, around: Around
    ) -> _Surroundings:
        found = _Surroundings()
        place = event.position
        if around.before_limit:
            wanted = Wanted(before=place, backwards=True, limit=around.before_limit)
            found.before = (await self._pages.read(tx, sight, wanted)).events
        if around.after_limit:
            wanted = Wanted(after=place, backwards=False, limit=around.after_limit)
            found.after = (await self._pages.read(tx, sight, wanted)).events
        return found

    async def _profiles(
        self, tx: ReadTx, sight: Sight, events: Sequence[Event]
    ) -> dict[str, dict[str, object]]:
        """What those who wrote were called at the time."""
        senders = dict.fromkeys(event.sender for event in events)
        keys = [(MEMBER, sender) for sender in senders]
        held = await self._past.keys_at(tx, sight.room, keys, events[0].position)
        return {
            member.state_key or "": {
                key: value
                for key in ("displayname", "avatar_url")
                if isinstance(value := member.content.get(key), str)
            }
            for member in held
        }

    async def _state(self, tx: ReadTx, sights: Iterable[Sight], view: View) -> bytes:
        """The state of each room, for who has left as it was then."""
        rooms = []
        for sight in sights:
            state = await self._past.at(tx, sight.room, sight.upto)
            shown = json_array([client_event(event, view) for event in state])
            rooms.append(msgspec.json.encode(sight.room.room_id) + b":" + shown)
        return b"{" + b",".join(rooms) + b"}"


def _highlights(found: Found) -> list[str]:
    words: dict[str, None] = {}
    for answer in found.page:
        words.update(dict.fromkeys(highlights(found.query, answer.text)))
    return list(words)[:HIGHLIGHTS_MAX]


class _WireGroup(msgspec.Struct, omit_defaults=True):
    order: int
    results: list[EventId]
    next_batch: str | None = None


def _groups(found: Found) -> dict[str, dict[str, _WireGroup]]:
    return {
        key: {value: _wire_group(group) for value, group in groups.items()}
        for key, groups in found.groups.items()
    }


def _wire_group(group: Group) -> _WireGroup:
    token = format_mark(group.next) if group.next is not None else None
    return _WireGroup(group.order, group.results, token)
