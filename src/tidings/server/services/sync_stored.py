"""A sync out of the database: the first one, and whatever memory does not cover.

A fixed number of queries reads what is new in all of a user's rooms at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import TypeVar

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.protocol.tokens import format_token
from tidings.rules import sync
from tidings.rules.presentation import NO_BUNDLE, Bundle, View, client_event
from tidings.rules.relations import find_latest_edit
from tidings.rules.stream import AccountDataChanged, ReceiptMoved
from tidings.rules.visibility import Interval, can_see, visible_intervals
from tidings.server.live.present import Present
from tidings.server.live.rooms import MEMBER
from tidings.server.live.users import Place, UserView
from tidings.server.services.sync_recent import counts_of
from tidings.server.services.sync_request import SyncRequest
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.people import PeopleStore
from tidings.server.storage.sync import SyncStore, Window

FILTERED_EVENTS_MIN = 100
"""A filter may drop most of what is read: so many events are looked at, at least."""
OUTSIDE = {"invite": b"invite_state", "knock": b"knock_state"}


class _Read(msgspec.Struct):
    """What the queries gave, by room."""

    timelines: dict[RoomId, list[Event]]
    state: dict[RoomId, list[Event]]
    changes: dict[RoomId, list[Event]]
    members: dict[RoomId, list[Event]]
    replaced: dict[int, Event]
    visible: dict[RoomId, list[Interval]]
    outside: dict[RoomId, list[Event]]
    receipts: dict[RoomId, list[ReceiptMoved]]
    account_data: dict[RoomId, list[AccountDataChanged]]
    counts: dict[RoomId, dict[str, int]]
    heroes: dict[RoomId, list[UserId]]


class StoredSync:
    """Reads the database for one user."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        store: SyncStore,
        people: PeopleStore,
        present: Present,
        initial_account_data: "InitialAccountData",
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._people = people
        self._present = present
        self._initial_account_data = initial_account_data
        self._now_ms = now_ms

    async def read(self, request: SyncRequest) -> sync.Update:
        """Everything that is new since the request's token, or everything there is."""
        async with self._db.read() as tx:
            view = await self._present.users.load(tx, request.user_id)
            upto = self._present.feed.position
            answer = _Answer(request, view, upto, self._now_ms())
            read = await self._read(tx, request, upto)
        return self._assemble(answer, read)

    async def _read(self, tx: ReadTx, request: SyncRequest, upto: int) -> _Read:
        since = request.since or 0
        user_id, store = request.user_id, self._store
        window = self._window(request, upto)
        entered_after = -1 if request.full_state or request.since is None else since
        timelines = _by_room(await store.timelines(tx, window))
        state = await store.whole_state(tx, user_id, entered_after, members=not request.lazy)
        members: list[Event] = []
        if request.lazy:
            members = await store.senders(tx, window)
            members += await store.own_members(tx, user_id, entered_after)
        changes = await store.state_changes(tx, window) if since else []
        replaced = await store.at_positions(tx, _replaced(timelines, [*state, *members]))
        return _Read(
            timelines=timelines,
            state=_by_room(state),
            changes=_by_room(changes),
            members=_by_room(members),
            replaced={event.position: event for event in replaced},
            visible=await self._visible(tx, window),
            outside=_by_room(await store.outside_state(tx, user_id, since)),
            receipts=_group(await self._people.receipts_of_member(tx, user_id, since, upto)),
            account_data=_group(await self._account_data(tx, request, upto)),
            counts=await self._counts(tx, user_id),
            heroes=_pairs(await store.heroes(tx, user_id)),
        )

    @staticmethod
    def _window(request: SyncRequest, upto: int) -> Window:
        since = request.since or 0
        chosen = request.filter.room.timeline
        count = request.events_max
        if not chosen.is_everything:
            count = max(count, FILTERED_EVENTS_MIN)
        left_since = since if request.since is not None else upto
        if request.filter.room.include_leave and request.since is None:
            left_since = 0
        return Window(request.user_id, since, upto, left_since, count)

    async def _visible(self, tx: ReadTx, window: Window) -> dict[RoomId, list[Interval]]:
        visibility: dict[RoomId, list[tuple[int, str]]] = defaultdict(list)
        membership: dict[RoomId, list[tuple[int, str]]] = defaultdict(list)
        for room_id, type_, position, json in await self._store.visibility(tx, window):
            content: JsonObject = _decode(json).content
            if type_ == MEMBER:
                membership[room_id].append((position, str(content.get("membership"))))
            else:
                value = str(content.get("history_visibility"))
                visibility[room_id].append((position, value))
        return {
            room_id: visible_intervals(visibility[room_id], membership[room_id])
            for room_id in membership
        }

    async def _account_data(
        self, tx: ReadTx, request: SyncRequest, upto: int
    ) -> list[AccountDataChanged]:
        since = request.since or 0
        changes = await self._people.account_data_of(tx, request.user_id, since, upto)
        if request.since is None:
            changes = self._initial_account_data(request.user_id, changes)
        return changes

    async def _counts(self, tx: ReadTx, user_id: UserId) -> dict[RoomId, dict[str, int]]:
        counts: dict[RoomId, dict[str, int]] = defaultdict(dict)
        for row in await self._store.member_counts(tx, user_id):
            counts[row.room_id][row.membership] = row.count
        return counts

    def _assemble(self, answer: "_Answer", read: _Read) -> sync.Update:
        request, since = answer.request, answer.since
        joined: dict[RoomId, bytes] = {}
        left: dict[RoomId, bytes] = {}
        outside: dict[str, dict[RoomId, bytes]] = {"invite": {}, "knock": {}}
        for room_id, place in answer.places.items():
            if not request.filter.room.allows_room(room_id) or place.position > answer.upto:
                continue
            if place.membership == "join":
                body = self._joined(answer, read, room_id)
                if body is not None:
                    joined[room_id] = body
            elif place.membership in OUTSIDE:
                if place.position > since or request.since is None:
                    name = OUTSIDE[place.membership]
                    events = read.outside.get(room_id, [])
                    outside[place.membership][room_id] = sync.assemble_stripped(name, events)
            elif not place.forgotten and self._shows_left(request, place):
                left[room_id] = self._left(answer, read, room_id)
        if request.lazy:
            request.device.sent(answer.members, answer.upto)
        return sync.Update(
            next_batch=format_token(answer.upto),
            joined=joined,
            invited=outside["invite"],
            knocked=outside["knock"],
            left=left,
            account_data=[
                sync.assemble_account_data(each.type, each.content)
                for each in read.account_data.get(RoomId(""), [])
                if request.filter.account_data.passes_type(each.type)
            ],
            presence=self._presence(answer),
        )

    @staticmethod
    def _shows_left(request: SyncRequest, place: Place) -> bool:
        if request.since is None:
            return request.filter.room.include_leave
        return place.position > request.since

    def _joined(self, answer: "_Answer", read: _Read, room_id: RoomId) -> bytes | None:
        request, place = answer.request, answer.places[room_id]
        is_new = request.since is None or place.entered > request.since
        stretch = self._stretch(answer, read, room_id, is_new=is_new)
        ephemeral = self._ephemeral(request, room_id, read.receipts.get(room_id, []))
        account_data = [
            sync.assemble_account_data(each.type, each.content)
            for each in read.account_data.get(room_id, [])
            if request.filter.room.account_data.passes_type(each.type)
        ]
        has_news = is_new or stretch.events or ephemeral or account_data or request.full_state
        if not has_news and not any(
            receipt.user_id == request.user_id for receipt in read.receipts.get(room_id, [])
        ):
            return None
        state = self._state(answer, read, room_id, stretch)
        everything = read.timelines.get(room_id, [])
        room = self._present.rooms.held(room_id)
        loud = everything[-1].loud if everything else room.tip.loud if room else 0
        if not everything and room is None:
            loud = answer.view.places[room_id].loud
        return sync.assemble_room(
            sync.RoomUpdate(
                timeline=self._timeline(answer, stretch),
                state=state,
                state_is_after=request.state_after,
                ephemeral=ephemeral,
                account_data=account_data,
                counts=counts_of(answer.view, request, room_id, loud),
                summary=self._summary(read, room_id),
            )
        )

    def _left(self, answer: "_Answer", read: _Read, room_id: RoomId) -> bytes:
        stretch = self._stretch(answer, read, room_id, is_new=False)
        return sync.assemble_room(
            sync.RoomUpdate(
                timeline=self._timeline(answer, stretch),
                state=self._state(answer, read, room_id, stretch),
                state_is_after=answer.request.state_after,
            )
        )

    def _stretch(
        self, answer: "_Answer", read: _Read, room_id: RoomId, *, is_new: bool
    ) -> "_Stretch":
        """The events to show, and whether there are more before them."""
        request = answer.request
        since = 0 if is_new else answer.since
        intervals = read.visible.get(room_id, [])
        chosen, ignored = request.filter.room.timeline, answer.view.ignored
        found = [event for event in read.timelines.get(room_id, []) if event.position > since]
        limit = request.events_max
        shown = [
            event
            for event in found
            if can_see(event.position, intervals)
            and chosen.passes(event)
            and (event.sender not in ignored or event.state_key is not None)
        ]
        window = max(limit, FILTERED_EVENTS_MIN) if not chosen.is_everything else limit
        events = shown[-limit:] if limit else []
        limited = len(shown) > len(events) or len(found) > window
        return _Stretch(room_id, is_new, events, limited, found)

    def _timeline(self, answer: "_Answer", stretch: "_Stretch") -> sync.Timeline:
        events = stretch.events
        first = events[0].position if events else answer.upto + 1
        return sync.Timeline(
            events=[client_event(e, answer.shown, _bundle(e, stretch, answer)) for e in events],
            limited=stretch.limited,
            prev_batch=format_token(first - 1),
        )

    def _state(
        self, answer: "_Answer", read: _Read, room_id: RoomId, stretch: "_Stretch"
    ) -> list[bytes]:
        request = answer.request
        whole = stretch.is_new or request.full_state
        base = read.state.get(room_id, []) if whole else read.changes.get(room_id, [])
        state = {(e.type, e.state_key): e for e in sorted(base, key=lambda e: e.position)}
        if not (whole or request.state_after or stretch.limited):
            state = {}  # the timeline shows all of it
        if request.lazy:
            self._add_members(answer, read, stretch, state)
        events = list(state.values())
        if not request.state_after:
            events = self._before(read, stretch, events)
        chosen = request.filter.room.state
        return [client_event(e, answer.shown) for e in events if chosen.passes(e)]

    def _add_members(
        self,
        answer: "_Answer",
        read: _Read,
        stretch: "_Stretch",
        state: dict[tuple[str, str | None], Event],
    ) -> None:
        """Member events of those who act in the timeline, unless the device has them."""
        request, room_id = answer.request, stretch.room_id
        needed = {event.sender for event in stretch.events}
        if stretch.is_new:
            needed.add(request.user_id)
        redundant = request.filter.room.state.include_redundant_members
        for member in read.members.get(room_id, []):
            user_id = UserId(member.state_key or "")
            if user_id not in needed:
                continue
            known = not redundant and (room_id, user_id) in request.device.known
            if stretch.is_new or not known:
                state.setdefault((MEMBER, user_id), member)
                answer.members.add((room_id, user_id))

    @staticmethod
    def _before(read: _Read, stretch: "_Stretch", state: Iterable[Event]) -> list[Event]:
        """The state at the start of the timeline: what it shows is replaced by what it replaced."""
        in_timeline = {event.position: event for event in stretch.events}
        before = []
        for event in state:
            held: Event | None = event
            while held is not None and held.position in in_timeline:
                place = held.replaces
                held = None if place is None else in_timeline.get(place) or read.replaced.get(place)
            if held is not None:
                before.append(held)
        return before

    def _ephemeral(
        self, request: SyncRequest, room_id: RoomId, receipts: list[ReceiptMoved]
    ) -> list[bytes]:
        chosen = request.filter.room.ephemeral
        if not chosen.allows_room(room_id):
            return []
        ephemeral = []
        typing = self._present.typing.users_in(room_id)
        if typing and chosen.passes_type("m.typing"):
            ephemeral.append(sync.assemble_typing(typing))
        if receipts and chosen.passes_type("m.receipt"):
            event = sync.assemble_receipts(receipts, request.user_id)
            if event is not None:
                ephemeral.append(event)
        return ephemeral

    @staticmethod
    def _summary(read: _Read, room_id: RoomId) -> Mapping[str, object]:
        counts = read.counts.get(room_id, {})
        heroes = read.heroes.get(room_id)
        return sync.summary_of(counts.get("join", 0), counts.get("invite", 0), heroes)

    def _presence(self, answer: "_Answer") -> list[bytes]:
        chosen, presence = answer.request.filter.presence, self._present.presence
        now = self._now_ms()
        return [
            sync.assemble_presence(change, now)
            for user_id in presence.seen_by(answer.view)
            if (change := presence.of(user_id)) is not None
            and change.position > answer.since
            and (answer.request.since is not None or change.presence != "offline")
            and chosen.passes_type("m.presence", user_id)
        ]


_InRoom = TypeVar("_InRoom", ReceiptMoved, AccountDataChanged)
InitialAccountData = Callable[[UserId, list[AccountDataChanged]], list[AccountDataChanged]]


class _Content(msgspec.Struct):
    content: JsonObject


_decode = msgspec.json.Decoder(_Content).decode


class _Stretch(msgspec.Struct):
    room_id: RoomId
    is_new: bool
    events: list[Event]
    limited: bool
    found: list[Event]
    """Events that the filter dropped included."""


class _Answer:
    """What stays the same while one answer is put together."""

    def __init__(self, request: SyncRequest, view: UserView, upto: int, now_ms: int) -> None:
        self.request = request
        self.view = view
        self.places = {room_id: copy(place) for room_id, place in view.places.items()}
        self.upto = upto
        self.since = request.since or 0
        self.shown = View(request.user_id, request.device_id, now_ms, room_id=False)
        self.members: set[tuple[RoomId, UserId]] = set()


def _bundle(event: Event, stretch: _Stretch, answer: _Answer) -> Bundle:
    """Edits and redactions follow what they change, so the timeline holds them too."""
    relations = redaction = b""
    edits = [other for other in stretch.found if other.relates_to == event.event_id]
    edit = find_latest_edit(event, edits) if edits else None
    if edit is not None:
        relations = b'{"m.replace":%b}' % client_event(edit, answer.shown)
    if event.redacted_by is not None:
        for other in stretch.found:
            if other.event_id == event.redacted_by:
                redaction = client_event(other, answer.shown)
    if not relations and not redaction:
        return NO_BUNDLE
    return Bundle(relations, redaction)


def _by_room(events: Iterable[Event]) -> dict[RoomId, list[Event]]:
    rooms: dict[RoomId, list[Event]] = defaultdict(list)
    for event in events:
        rooms[event.room_id].append(event)
    return rooms


def _group(changes: Iterable[_InRoom]) -> dict[RoomId, list[_InRoom]]:
    rooms: dict[RoomId, list[_InRoom]] = defaultdict(list)
    for change in changes:
        rooms[change.room_id].append(change)
    return rooms


def _pairs(pairs: Iterable[tuple[RoomId, UserId]]) -> dict[RoomId, list[UserId]]:
    rooms: dict[RoomId, list[UserId]] = defaultdict(list)
    for room_id, user_id in pairs:
        rooms[room_id].append(user_id)
    return rooms


def _replaced(timelines: Mapping[RoomId, list[Event]], state: Iterable[Event]) -> list[int]:
    """Positions of state that the timelines replaced and that stands before them."""
    shown = {event.position for events in timelines.values() for event in events}
    positions = {event.replaces for events in timelines.values() for event in events}
    positions |= {event.replaces for event in state if event.position in shown}
    return sorted(place for place in positions if place is not None and place not in shown)
