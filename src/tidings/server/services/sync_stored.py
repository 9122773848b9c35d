"""A sync out of the database: the first one, and whatever memory does not cover.

A fixed number of queries reads what is new in all of a user's rooms at once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from itertools import chain, islice, takewhile

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.protocol.tokens import format_token
from tidings.rules import sync
from tidings.rules.presentation import NO_BUNDLE, Bundle, View, client_event
from tidings.rules.relations import find_latest_edit
from tidings.rules.stream import AccountDataChanged, ReceiptMoved
from tidings.rules.visibility import Interval, can_see, visible_intervals
from tidings.server.live.present import Present
from tidings.server.live.rooms import MEMBER, Room
from tidings.server.live.users import Place, UserView
from tidings.server.services.device_lists import DeviceListReader
from tidings.server.services.sync_devices import TO_DEVICE_MAX
from tidings.server.services.sync_recent import counts_of, heroes_of
from tidings.server.services.sync_request import Seen, SyncRequest
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.people import PeopleStore
from tidings.server.storage.sync import SyncStore, Window
from tidings.server.storage.to_device import ToDeviceStore

FILTERED_EVENTS_MIN = 100
"""A filter may drop most of what is read: so many events are looked at, at least."""
NAMED_ROOMS_MAX = 500
"""Beyond it a query reads all rooms of the user rather than a list of them."""
OUTSIDE = {"invite": b"invite_state", "knock": b"knock_state"}


class _Read:
    """What memory and the queries gave, by room."""

    def __init__(self) -> None:
        self.timelines: dict[RoomId, list[Event]] = {}
        self.state: dict[RoomId, list[Event]] = {}
        self.changes: dict[RoomId, list[Event]] = {}
        self.members: dict[RoomId, list[Event]] = {}
        self.replaced: dict[int, Event] = {}
        self.visible: dict[RoomId, list[Interval]] = {}
        self.entered_again: set[RoomId] = set()
        """Rooms in which the user has been before."""
        self.outside: dict[RoomId, list[Event]] = {}
        self.receipts: dict[RoomId, list[ReceiptMoved]] = {}
        self.account_data: dict[RoomId, list[AccountDataChanged]] = {}
        self.counts: dict[RoomId, dict[str, int]] = {}
        self.heroes: dict[RoomId, list[UserId]] = {}
        self.emptied: dict[EventId, int] = {}
        """Where state is that was emptied since, by the redaction that did it."""
        self.device_lists = sync.DeviceLists()
        self.messages: list[tuple[StreamPosition, bytes]] = []
        """Messages to the device, one more than are sent if there are more."""
        self.loud: dict[RoomId, int] = {}
        """How many loud events rooms have, for those without an event to tell it."""


class StoredSync:
    """Reads the database for one user."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        store: SyncStore,
        people: PeopleStore,
        to_device: ToDeviceStore,
        device_lists: DeviceListReader,
        present: Present,
        initial_account_data: "InitialAccountData",
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._people = people
        self._to_device = to_device
        self._device_lists = device_lists
        self._present = present
        self._initial_account_data = initial_account_data
        self._now_ms = now_ms

    async def read(self, request: SyncRequest) -> sync.Update:
        """Everything that is new since the request's token, or everything there is."""
        async with self._db.read() as tx:
            upto = await tx.snapshot_position()
            view = await self._present.load(tx, request.user_id)
            read = _Read()
            if self._present.feed.position == upto:
                answer = _Answer(request, view, upto, self._now_ms())
                read = self._remember(answer)
            else:  # memory is ahead of the snapshot, or a commit behind it
                is_explicit = self._present.users.rules_of(request.user_id) is not None
                view = await self._present.users.read(tx, request.user_id, is_explicit=is_explicit)
                answer = _Answer(request, view, upto, self._now_ms())
            await self._read_rooms(tx, answer, read)
            await self._read_people(tx, answer, read)
            await self._read_devices(tx, answer, read)
            if request.since is not None:
                await self._hold_rooms(tx, answer, read)
        return self._assemble(answer, read)

    async def _hold_rooms(self, tx: ReadTx, answer: "_Answer", read: _Read) -> None:
        """Let memory answer what comes next in rooms in which something happens."""
        for room_id, events in read.timelines.items():
            if events[-1].position <= answer.since:
                continue
            room = await self._present.rooms.load(tx, room_id)
            heroes = heroes_of(room, answer.view) if room is not None else None
            if heroes is not None:
                read.heroes[room_id] = heroes

    def _remember(self, answer: "_Answer") -> _Read:
        """Rooms that are shown whole and whose newest events are in memory."""
        request, read = answer.request, _Read()
        if request.since is not None or not request.filter.room.timeline.is_everything:
            return read
        for room_id, place in answer.places.items():
            if place.membership != "join":
                continue
            room = self._present.rooms.held(room_id)
            if (
                room is None
                or room.visibility_changed
                or not room.holds_newest(request.events_max + 1)
            ):
                continue
            self._remember_room(answer, read, room)
        return read

    def _remember_room(self, answer: "_Answer", read: _Read, room: Room) -> None:
        room_id, request = room.room_id, answer.request
        count = request.events_max + 1
        timeline = list(islice(room.tail, max(0, len(room.tail) - count), None))
        read.timelines[room_id] = timeline
        read.visible[room_id] = [Interval(0, None)]
        read.counts[room_id] = {"join": len(room.joined), "invite": len(room.invited)}
        heroes = heroes_of(room, answer.view)
        if heroes is not None:
            read.heroes[room_id] = heroes
        if not request.lazy:
            read.state[room_id] = list(room.state.values())
            return
        read.state[room_id] = [e for key, e in room.state.items() if key[0] != MEMBER]
        acting = {event.sender for event in timeline} | {request.user_id}
        found = (room.get(MEMBER, user_id) for user_id in acting)
        read.members[room_id] = [event for event in found if event is not None]

    async def _read_rooms(self, tx: ReadTx, answer: "_Answer", read: _Read) -> None:
        """The rooms that memory did not give, all at once."""
        request, store = answer.request, self._store
        wanted = [
            room_id
            for room_id, place in answer.places.items()
            if room_id not in read.timelines and place.membership not in OUTSIDE
        ]
        window = self._window(answer, wanted)
        entered_after = answer.since
        if request.full_state or request.since is None:
            entered_after = -1
        if wanted:
            _add(read.timelines, await store.timelines(tx, window))
            state = await store.whole_state(tx, window, entered_after, members=not request.lazy)
            _add(read.state, state)
            if request.lazy:
                _add(read.members, await store.senders(tx, window))
                _add(read.members, await store.own_members(tx, window, entered_after))
            if request.since is not None:
                _add(read.changes, await store.state_changes(tx, window))
                read.emptied = dict(await store.emptied_state(tx, window))
                read.loud = await self._people.loud_of_rooms(tx, request.user_id)
            elif request.filter.room.include_leave:
                _add(read.changes, await store.state_changes(tx, window, joined=False))
            await self._read_visibility(tx, answer, window, read)
            for row in await store.member_counts(tx, window):
                read.counts.setdefault(row.room_id, {})[row.membership] = row.count
            await self._read_heroes(tx, answer, window, read)
        positions = _replaced(
            read.timelines, chain.from_iterable((*read.state.values(), *read.members.values()))
        )
        positions = sorted({*positions, *read.emptied.values()})
        for event in await store.at_positions(tx, positions):
            read.replaced[event.position] = event

    async def _read_heroes(
        self, tx: ReadTx, answer: "_Answer", window: Window, read: _Read
    ) -> None:
        for room_id, user_id in await self._store.heroes(tx, window):
            read.heroes.setdefault(room_id, []).append(user_id)
        # The query takes a name for a name, even one that was emptied.
        for event in chain.from_iterable((*read.state.values(), *read.changes.values())):
            if event.type == "m.room.name" and not event.content.get("name"):
                room = await self._present.rooms.load(tx, event.room_id)
                heroes = heroes_of(room, answer.view) if room is not None else None
                if heroes is not None:
                    read.heroes[event.room_id] = heroes

    async def _read_people(self, tx: ReadTx, answer: "_Answer", read: _Read) -> None:
        user_id, since, upto = answer.request.user_id, answer.since, answer.upto
        if any(place.membership in OUTSIDE for place in answer.places.values()):
            _add(read.outside, await self._store.outside_state(tx, user_id, since))
        for receipt in await self._people.receipts_of_member(tx, user_id, since, upto):
            read.receipts.setdefault(receipt.room_id, []).append(receipt)
        for each in await self._account_data(tx, answer.request, upto):
            read.account_data.setdefault(each.room_id, []).append(each)

    @staticmethod
    def _window(answer: "_Answer", wanted: list[RoomId]) -> Window:
        request = answer.request
        count = request.events_max
        if not request.filter.room.timeline.is_everything:
            count = max(count, FILTERED_EVENTS_MIN)
        left_since = answer.upto if request.since is None else request.since
        if request.filter.room.include_leave and request.since is None:
            left_since = 0
        few = tuple(wanted) if len(wanted) <= NAMED_ROOMS_MAX else ()
        return Window(request.user_id, answer.since, answer.upto, left_since, count, few)

    async def _read_visibility(
        self, tx: ReadTx, answer: "_Answer", window: Window, read: _Read
    ) -> None:
        visibility: dict[RoomId, list[tuple[int, str]]] = defaultdict(list)
        membership: dict[RoomId, list[tuple[int, str]]] = defaultdict(list)
        for room_id, type_, position, json in await self._store.visibility(tx, window):
            content: JsonObject = _decode(json).content
            if type_ == MEMBER:
                membership[room_id].append((position, str(content.get("membership"))))
            else:
                value = str(content.get("history_visibility"))
                visibility[room_id].append((position, value))
        for room_id, changes in membership.items():
            read.visible[room_id] = visible_intervals(visibility[room_id], changes)
            entered = answer.places[room_id].entered
            if any(value == "join" and position < entered for position, value in changes):
                read.entered_again.add(room_id)

    async def _read_devices(self, tx: ReadTx, answer: "_Answer", read: _Read) -> None:
        request, upto = answer.request, answer.upto
        delivered = max(request.delivered, request.device.acknowledged)
        read.messages = await self._to_device.waiting(
            tx, (request.user_id, request.device_id), (delivered, upto), TO_DEVICE_MAX + 1
        )
        if request.since is not None:
            lists = self._device_lists
            read.device_lists = await lists.read(tx, request.user_id, request.since, upto)

    async def _account_data(
        self, tx: ReadTx, request: SyncRequest, upto: int
    ) -> list[AccountDataChanged]:
        since = request.since or 0
        changes = await self._people.account_data_of(tx, request.user_id, since, upto)
        if request.since is None:
            changes = self._initial_account_data(request.user_id, changes)
        return changes

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
                events = read.outside.get(room_id, [])
                if place.position > since and not _is_from_ignored(answer, place, events):
                    name = OUTSIDE[place.membership]
                    outside[place.membership][room_id] = sync.assemble_stripped(name, events)
            elif self._shows_left(request, place):
                left[room_id] = self._left(answer, read, room_id)
        if request.lazy:
            request.device.sent(answer.members, answer.upto)
        is_queue_cut = len(read.messages) > TO_DEVICE_MAX
        messages = read.messages[:TO_DEVICE_MAX]
        return sync.Update(
            next_batch=format_token(answer.upto, messages[-1][0] if is_queue_cut else None),
            joined=joined,
            invited=outside["invite"],
            knocked=outside["knock"],
            left=left,
            account_data=[
                sync.assemble_account_data(each.type, each.content)
                for each in read.account_data.get(RoomId(""), [])
                if request.filter.account_data.passes_type(each.type)
            ],
            presence=self._presence(answer, read),
            to_device=[message for _, message in messages],
            device_lists=read.device_lists,
            key_counts=answer.view.key_counts.get(request.device_id, sync.NO_KEYS),
        )

    @staticmethod
    def _shows_left(request: SyncRequest, place: Place) -> bool:
        if request.since is None:
            return request.filter.room.include_leave and not place.forgotten
        return place.position > request.since

    def _joined(self, answer: "_Answer", read: _Read, room_id: RoomId) -> bytes | None:
        request, place = answer.request, answer.places[room_id]
        is_new = request.since is None or place.entered > request.since
        stretch = self._stretch(answer, read, room_id, is_new=is_new)
        ephemeral = self._ephemeral(answer, read, room_id, is_new=is_new)
        account_data = [
            sync.assemble_account_data(each.type, each.content)
            for each in read.account_data.get(room_id, [])
            if request.filter.room.account_data.passes_type(each.type)
        ]
        state = self._state(answer, read, room_id, stretch)
        has_news = is_new or stretch.events or stretch.limited or state or ephemeral or account_data
        if not (has_news or request.full_state) and not any(
            receipt.user_id == request.user_id for receipt in read.receipts.get(room_id, [])
        ):
            return None
        everything = read.timelines.get(room_id, [])
        loud = everything[-1].loud if everything else read.loud.get(room_id, 0)
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
        # What is hidden ends the timeline: an older state event must not seem to follow it.
        visible = list(
            takewhile(lambda event: can_see(event.position, intervals), reversed(found))
        )[::-1]
        shown = [
            event
            for event in visible
            if chosen.passes(event) and (event.sender not in ignored or event.state_key is not None)
        ]
        window = max(limit, FILTERED_EVENTS_MIN) if not chosen.is_everything else limit
        events = shown[-limit:] if limit else []
        limited = len(shown) > len(events) or len(found) > min(window, len(visible))
        # Who comes back must not add the timeline to what they had when they left.
        limited |= is_new and request.since is not None and room_id in read.entered_again
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
        base = read.state.get(room_id, [])
        if not whole:
            base = self._changed_state(answer, read, stretch)
        state = sync.latest_state(sorted(base, key=lambda event: event.position))
        events = list(state.values())
        if request.lazy:
            members = self._members(answer, read, stretch)
            events += [e for e in members if (e.type, e.state_key) not in state]
        if not request.state_after:
            events = self._before(read, stretch, events)
        chosen = request.filter.room.state
        return [client_event(e, answer.shown) for e in events if chosen.passes(e)]

    @staticmethod
    def _changed_state(answer: "_Answer", read: _Read, stretch: "_Stretch") -> list[Event]:
        """State that is new, and state that was emptied by redactions the timeline hides."""
        shown_at = {event.position for event in stretch.events}
        shown = {event.event_id for event in stretch.events}
        base = [
            read.replaced[position]
            for redaction, position in read.emptied.items()
            if redaction not in shown and read.replaced[position].room_id == stretch.room_id
        ]
        return base + [
            event
            for event in read.changes.get(stretch.room_id, [])
            if answer.request.state_after or event.position not in shown_at
        ]

    @staticmethod
    def _members(answer: "_Answer", read: _Read, stretch: "_Stretch") -> list[Event]:
        """Member events of those who act in the timeline, unless the device has them."""
        request, room_id = answer.request, stretch.room_id
        place = answer.places[room_id]
        needed = {event.sender for event in stretch.events}
        whole = stretch.is_new or request.full_state
        if whole:
            needed.add(request.user_id)
        all_again = whole or request.filter.room.state.include_redundant_members
        found = {}
        for member in read.members.get(room_id, []):
            user_id = UserId(member.state_key or "")
            seen = (room_id, user_id, place.entered)
            if user_id not in needed or (seen in request.device.known and not all_again):
                continue
            if place.membership == "join" or member.position <= place.position:
                found[user_id] = member
                answer.members.add(seen)
        return list(found.values())

    @staticmethod
    def _before(read: _Read, stretch: "_Stretch", state: Iterable[Event]) -> list[Event]:
        """The state at the start of the timeline: what it shows is replaced by what it replaced."""
        in_timeline = {event.position for event in stretch.events}
        found = {event.position: event for event in stretch.found}
        before = []
        for event in state:
            held: Event | None = event
            while held is not None and held.position in in_timeline:
                place = held.replaces
                held = None if place is None else found.get(place) or read.replaced.get(place)
            if held is not None:
                before.append(held)
        return before

    def _ephemeral(
        self, answer: "_Answer", read: _Read, room_id: RoomId, *, is_new: bool
    ) -> list[bytes]:
        chosen = answer.request.filter.room.ephemeral
        if not chosen.allows_room(room_id):
            return []
        ephemeral = []
        typing = self._present.typing
        user_ids = typing.users_in(room_id)
        has_changed = not is_new and typing.changed_at(room_id) > answer.since
        if (has_changed or (is_new and user_ids)) and chosen.passes_type("m.typing"):
            ephemeral.append(sync.assemble_typing(user_ids))
        receipts = read.receipts.get(room_id, [])
        if receipts and chosen.passes_type("m.receipt"):
            ephemeral += sync.assemble_receipts(receipts, answer.request.user_id)
        return ephemeral

    @staticmethod
    def _summary(read: _Read, room_id: RoomId) -> Mapping[str, object]:
        counts = read.counts.get(room_id, {})
        heroes = read.heroes.get(room_id)
        return sync.summary_of(counts.get("join", 0), counts.get("invite", 0), heroes)

    def _presence(self, answer: "_Answer", read: _Read) -> list[bytes]:
        chosen, presence = answer.request.filter.presence, self._present.presence
        met, now = self._met(answer, read), self._now_ms()
        return [
            sync.assemble_presence(change, now)
            for user_id in presence.seen_by(answer.view)
            if (change := presence.of(user_id)) is not None
            and (change.position > answer.since or user_id in met)
            and (answer.request.since is not None or change.presence != "offline")
            and chosen.passes_type("m.presence", user_id)
        ]

    def _met(self, answer: "_Answer", read: _Read) -> set[UserId]:
        """Those who have come to share a room with the user since their token."""
        if answer.request.since is None:
            return set()
        changed = chain.from_iterable(read.changes.values())
        met = {UserId(event.state_key or "") for event in changed if event.type == MEMBER}
        for room_id, place in answer.places.items():
            if place.membership == "join" and place.entered > answer.since:
                met.update(self._present.presence.company_of(room_id))
        return met


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
        self.members: set[Seen] = set()


def _is_from_ignored(answer: _Answer, place: Place, events: Iterable[Event]) -> bool:
    """Whether an invitation comes from somebody the user ignores."""
    ignored = answer.view.ignored
    return any(event.position == place.position and event.sender in ignored for event in events)


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


def _add(rooms: dict[RoomId, list[Event]], events: Iterable[Event]) -> None:
    for event in events:
        rooms.setdefault(event.room_id, []).append(event)


def _replaced(timelines: Mapping[RoomId, list[Event]], state: Iterable[Event]) -> list[int]:
    """Positions of state that the timelines replaced and that stands before them."""
    shown = {event.position for events in timelines.values() for event in events}
    positions = {event.replaces for events in timelines.values() for event in events}
    positions |= {event.replaces for event in state if event.position in shown}
    return sorted(place for place in positions if place is not None and place not in shown)
