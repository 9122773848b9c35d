"""An incremental sync out of memory: no query, and bytes that its readers share.

It covers what happens all the time (events, receipts, typing, account data,
presence in rooms one stays in) and hands the rest to the stored way: joining,
being invited, leaving. Both ways give the same answer; a property test holds
them to it.
"""

from collections.abc import Callable, Sequence
from enum import Enum

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, UserId
from tidings.protocol.tokens import format_token
from tidings.rules import sync
from tidings.rules.presentation import Bundle, View, client_event
from tidings.rules.stream import (
    AccountDataChanged,
    Change,
    DeviceListChanged,
    EventAppended,
    PresenceChanged,
    ReceiptMoved,
    ToDeviceQueued,
    TypingChanged,
)
from tidings.server.live.present import Present
from tidings.server.live.rooms import MEMBER, Room, membership_of
from tidings.server.live.users import UserView
from tidings.server.services.sync_devices import TO_DEVICE_MAX, DeviceNews
from tidings.server.services.sync_request import Seen, SyncRequest

SHARED_MAX = 512
AGE_BITS = 12
"""The age of an event in shared bytes may be wrong by 2^12 milliseconds."""
SUMMARISED = frozenset({MEMBER, "m.room.name", "m.room.canonical_alias"})
"""Types of state that a room's summary is made of."""
NO_MEMBERS: set[Seen] = set()


class Outcome(Enum):
    """Why there is no answer out of memory."""

    NOTHING = 0
    STORED = 1
    """The news is of a kind that needs the database."""


class _ElsewhereError(Exception):
    """Memory does not hold what somebody was before the timeline tells that they changed."""


class _News(msgspec.Struct):
    """What happened in one room."""

    events: list[Event]
    receipts: list[ReceiptMoved]
    account_data: list[AccountDataChanged]
    typing: bool = False
    own_receipt: bool = False

    @property
    def is_empty(self) -> bool:
        return not (
            self.events or self.receipts or self.account_data or self.typing or self.own_receipt
        )


class _Gathered(msgspec.Struct):
    rooms: dict[RoomId, _News]
    account_data: list[AccountDataChanged]
    presence: set[UserId]
    """Whose presence has changed, or who has come into a room."""
    devices: DeviceNews

    def room(self, room_id: RoomId) -> _News:
        """The news of a room."""
        news = self.rooms.get(room_id)
        if news is None:
            news = self.rooms[room_id] = _News([], [], [])
        return news


class RecentSync:
    """Reads the feed for one user."""

    def __init__(self, present: Present, now_ms: Callable[[], int]) -> None:
        self._present = present
        self._now_ms = now_ms
        self._shared: dict[tuple[RoomId, int, int, bool, int], bytes] = {}
        """Timelines by room, first and last event, whether any were left out, and time."""
        self._messages: dict[tuple[int, int, int, bytes], bytes] = {}
        """Answers that hold one message, by its position, the reader's unread count, time, and
        what the reader's device is told of its keys."""

    def read(self, view: UserView, request: SyncRequest, after: int) -> bytes | Outcome:
        """The answer with what is new after a position, or why there is none."""
        changes = self._present.feed.after(after)
        if not changes:
            return Outcome.NOTHING
        if len(changes) == 1:
            body = self._read_message(view, request, changes[0])
            if body is not None:
                return body
        gathered = self._gather(view, request, after, changes)
        if isinstance(gathered, Outcome):
            return gathered
        return self._assemble(view, request, gathered)

    def _assemble(
        self, view: UserView, request: SyncRequest, gathered: _Gathered
    ) -> bytes | Outcome:
        joined: dict[RoomId, bytes] = {}
        members: set[Seen] = set()
        for room_id, news in gathered.rooms.items():
            if not request.filter.room.allows_room(room_id):
                continue
            room = self._present.rooms.held(room_id)
            if room is None:
                return Outcome.STORED
            try:
                body = self._room(view, request, room, news, members)
            except _ElsewhereError:
                return Outcome.STORED
            if body is not None:
                joined[room_id] = body
        position, devices = self._present.feed.position, gathered.devices
        lists = devices.lists(view, self._present.rooms)
        if lists is None or len(devices.messages) > TO_DEVICE_MAX:
            return Outcome.STORED
        update = sync.Update(
            next_batch=format_token(position),
            joined=joined,
            account_data=self._account_data(request, gathered.account_data),
            presence=self._presence(view, request, gathered.presence),
            to_device=devices.messages,
            device_lists=lists,
            key_counts=view.key_counts.get(request.device_id, sync.NO_KEYS),
        )
        if not update.has_news:
            return Outcome.NOTHING
        if request.lazy:
            request.device.sent(members, position)
        return sync.assemble(update)

    def _read_message(self, view: UserView, request: SyncRequest, change: Change) -> bytes | None:
        """The answer to what is most common: one message, its sender known.

        Members with the same unread counts are sent the same bytes, so that a
        delivery costs a look into a dict. None where the answer may be another.
        """
        if not isinstance(change, EventAppended):
            return None
        event = change.event
        place = view.places.get(event.room_id)
        if (
            event.state_key is not None
            or place is None
            or place.membership != "join"
            or place.threads
            or place.notices
            or event.sender == request.user_id
            or view.ignored
            or request.state_after
            or not request.filter.is_plain
            or request.filter.room.state.include_redundant_members
            or (request.lazy and not _knows_sender(request, event, place.entered))
        ):
            return None
        room = self._present.rooms.held(event.room_id)
        limit = request.events_max
        if room is None or not limit:
            return None
        unread = 0 if view.is_explicit else place.unread_loud(room.tip.loud)
        counts = view.key_counts.get(request.device_id, sync.NO_KEYS)
        key = (event.position, unread, self._now_ms() >> AGE_BITS, counts)
        body = self._messages.get(key)
        if body is None:
            news = _News([event], [], [])
            gathered = _Gathered({event.room_id: news}, [], set(), DeviceNews())
            found = self._assemble(view, request, gathered)
            body = found if isinstance(found, bytes) else None
            if body is not None:
                if len(self._messages) >= SHARED_MAX:
                    self._messages.clear()
                self._messages[key] = body
        else:
            request.device.sent(NO_MEMBERS, self._present.feed.position)
        return body

    def _gather(
        self, view: UserView, request: SyncRequest, after: int, changes: Sequence[Change]
    ) -> _Gathered | Outcome:
        gathered, user_id = _Gathered({}, [], set(), DeviceNews()), request.user_id
        for change in changes:
            if isinstance(change, EventAppended):
                event = change.event
                if event.type == MEMBER and event.state_key == user_id:
                    place = view.places[event.room_id]
                    if place.membership != "join" or place.entered > after:
                        return Outcome.STORED
                if event.room_id in view.joined:
                    gathered.room(event.room_id).events.append(event)
                    if event.type == MEMBER:
                        gathered.presence.add(UserId(event.state_key or ""))
                        if event.state_key != user_id:
                            gathered.devices.take_member(event)
            elif isinstance(change, DeviceListChanged | ToDeviceQueued):
                gathered.devices.take(view, request, change)
            else:
                self._gather_other(gathered, view.joined, user_id, change)
        return gathered

    def _gather_other(
        self, gathered: _Gathered, joined: set[RoomId], user_id: UserId, change: Change
    ) -> None:
        match change:
            case ReceiptMoved():
                self._gather_receipt(gathered, joined, user_id, change)
            case TypingChanged():
                if change.room_id in joined:
                    gathered.room(change.room_id).typing = True
            case AccountDataChanged():
                if change.user_id == user_id:
                    self._gather_account_data(gathered, joined, change)
            case PresenceChanged():
                gathered.presence.add(change.user_id)
            case _:
                pass

    @staticmethod
    def _gather_receipt(
        gathered: _Gathered, joined: set[RoomId], user_id: UserId, change: ReceiptMoved
    ) -> None:
        if change.room_id not in joined:
            return
        is_own = change.user_id == user_id
        if change.receipt_type == "m.read.private" and not is_own:
            return
        news = gathered.room(change.room_id)
        news.receipts.append(change)
        news.own_receipt |= is_own

    @staticmethod
    def _gather_account_data(
        gathered: _Gathered, joined: set[RoomId], change: AccountDataChanged
    ) -> None:
        if not change.room_id:
            gathered.account_data.append(change)
        elif change.room_id in joined:
            gathered.room(change.room_id).account_data.append(change)

    def _room(
        self,
        view: UserView,
        request: SyncRequest,
        room: Room,
        news: _News,
        members: set[Seen],
    ) -> bytes | None:
        events = self._shown(view, request, news.events)
        ephemeral = self._ephemeral(request, room, news)
        account_data = [
            sync.assemble_account_data(each.type, each.content)
            for each in latest_of_type(news.account_data)
            if request.filter.room.account_data.passes_type(each.type)
        ]
        limit = request.events_max
        timeline = events[-limit:] if limit else []
        state = self._state(view, request, room, news.events, timeline, members)
        if not (events or state or ephemeral or account_data or news.own_receipt):
            return None
        name = b"state_after" if request.state_after else b"state"
        parts = [
            self._timeline(view, request, room, events, timeline),
            sync.assemble_events(name, state),
            sync.assemble_events(b"account_data", account_data),
            sync.assemble_events(b"ephemeral", ephemeral),
            sync.assemble_counts(counts_of(view, request, room.room_id, room.tip.loud)),
        ]
        if any(event.type in SUMMARISED for event in news.events):
            summary = sync.summary_of(len(room.joined), len(room.invited), heroes_of(room, view))
            parts.append(b'"summary":' + msgspec.json.encode(summary))
        return b"{" + b",".join(parts) + b"}"

    @staticmethod
    def _shown(view: UserView, request: SyncRequest, events: list[Event]) -> list[Event]:
        chosen = request.filter.room.timeline
        if not view.ignored and chosen.is_everything:
            return events
        return [
            event
            for event in events
            if chosen.passes(event)
            and (event.sender not in view.ignored or event.state_key is not None)
        ]

    def _timeline(
        self,
        view: UserView,
        request: SyncRequest,
        room: Room,
        events: list[Event],
        timeline: list[Event],
    ) -> bytes:
        """The timeline; members of a room who see all of its events share its bytes."""
        is_limited = len(events) > len(timeline)
        if not timeline:
            token = format_token(self._present.feed.position)
            return sync.assemble_timeline(sync.Timeline((), limited=is_limited, prev_batch=token))
        user_id, device_id, now = request.user_id, request.device_id, self._now_ms()
        first, last = timeline[0].position, timeline[-1].position
        key = (room.room_id, first, last, is_limited, now >> AGE_BITS)
        is_shared = (
            not view.ignored
            and request.filter.room.timeline.is_everything
            and not any(event.sender == user_id for event in timeline)
        )
        body = self._shared.get(key) if is_shared else None
        if body is None:
            shown = View(user_id, device_id, now, room_id=False)
            shown_events = [_shown(event, shown, timeline) for event in timeline]
            prev_batch = format_token(first - 1)
            body = sync.assemble_timeline(sync.Timeline(shown_events, is_limited, prev_batch))
            if is_shared:
                if len(self._shared) >= SHARED_MAX:
                    self._shared.clear()
                self._shared[key] = body
        return body

    def _state(  # noqa: PLR0913, PLR0917 - what is known of the room's news, part by part
        self,
        view: UserView,
        request: SyncRequest,
        room: Room,
        news: list[Event],
        timeline: list[Event],
        members: set[Seen],
    ) -> list[bytes]:
        """State the timeline does not show, and members it makes one want to know."""
        state: dict[tuple[str, str | None], Event] = {}
        if request.state_after or len(news) > len(timeline):
            shown_at = {event.position for event in timeline}
            hidden = [event for event in news if event.position not in shown_at]
            changed = sync.latest_state(news if request.state_after else hidden)
            state = {**_emptied(room, hidden), **changed}
        if request.lazy:
            for member in self._unknown_members(view, request, room, timeline, members):
                state.setdefault((MEMBER, member.state_key), member)
        if not state:
            return []
        shown = View(request.user_id, request.device_id, self._now_ms(), room_id=False)
        chosen = request.filter.room.state
        return [client_event(event, shown) for event in state.values() if chosen.passes(event)]

    @staticmethod
    def _unknown_members(
        view: UserView,
        request: SyncRequest,
        room: Room,
        timeline: Sequence[Event],
        members: set[Seen],
    ) -> list[Event]:
        found = []
        entered = view.places[room.room_id].entered
        shown_at = {event.position for event in timeline}
        redundant = request.filter.room.state.include_redundant_members
        for event in timeline:
            key = (room.room_id, event.sender, entered)
            if key in members or (not redundant and key in request.device.known):
                continue
            members.add(key)
            member = room.get(MEMBER, event.sender)
            if member is None:
                continue
            if member.position not in shown_at:
                found.append(member)
            elif member.replaces is not None:
                raise _ElsewhereError
        return found

    def _ephemeral(self, request: SyncRequest, room: Room, news: _News) -> list[bytes]:
        if not (news.typing or news.receipts):
            return []
        chosen = request.filter.room.ephemeral
        if not chosen.allows_room(room.room_id):
            return []
        ephemeral = []
        if news.typing and chosen.passes_type("m.typing"):
            ephemeral.append(sync.assemble_typing(self._present.typing.users_in(room.room_id)))
        if news.receipts and chosen.passes_type("m.receipt"):
            latest = latest_receipts(news.receipts)
            ephemeral += sync.assemble_receipts(latest, request.user_id)
        return ephemeral

    @staticmethod
    def _account_data(request: SyncRequest, changes: list[AccountDataChanged]) -> list[bytes]:
        chosen = request.filter.account_data
        return [
            sync.assemble_account_data(each.type, each.content)
            for each in latest_of_type(changes)
            if chosen.passes_type(each.type)
        ]

    def _presence(self, view: UserView, request: SyncRequest, changed: set[UserId]) -> list[bytes]:
        if not changed:
            return []
        presence, now, chosen = self._present.presence, self._now_ms(), request.filter.presence
        return [
            sync.assemble_presence(known, now)
            for user_id in presence.shown_to(view, changed)
            if (known := presence.of(user_id)) is not None
            and chosen.passes_type("m.presence", user_id)
        ]


def _knows_sender(request: SyncRequest, event: Event, entered: int) -> bool:
    return (event.room_id, event.sender, entered) in request.device.known


def _emptied(room: Room, hidden: list[Event]) -> dict[tuple[str, str | None], Event]:
    """State that was emptied by redactions the timeline does not show."""
    redactions = {event.event_id for event in hidden if event.type == "m.room.redaction"}
    if not redactions:
        return {}
    return {key: event for key, event in room.state.items() if event.redacted_by in redactions}


def _shown(event: Event, shown: View, timeline: Sequence[Event]) -> bytes:
    """An event of a timeline; one that was emptied comes with the redaction, as that follows it."""
    if event.redacted_by is None:
        return client_event(event, shown)
    for other in timeline:
        if other.event_id == event.redacted_by:
            return client_event(event, shown, Bundle(redacted_because=client_event(other, shown)))
    return client_event(event, shown)


def latest_of_type(changes: Sequence[AccountDataChanged]) -> list[AccountDataChanged]:
    """Of each type only the last change counts."""
    return list({change.type: change for change in changes}.values())


def latest_receipts(receipts: Sequence[ReceiptMoved]) -> list[ReceiptMoved]:
    """Of each receipt only where it stands last."""
    return list(
        {(each.user_id, each.receipt_type, each.thread_id): each for each in receipts}.values()
    )


def counts_of(view: UserView, request: SyncRequest, room_id: RoomId, loud: int) -> sync.Counts:
    """The unread counts as the filter wants them: threads apart or added up."""
    main, threads = view.unread(room_id, loud), view.unread_threads(room_id)
    if request.filter.room.timeline.unread_thread_notifications:
        each = {name: (n.notifications, n.highlights) for name, n in threads.items()}
        return sync.Counts(main.notifications, main.highlights, each)
    return sync.Counts(
        main.notifications + sum(each.notifications for each in threads.values()),
        main.highlights + sum(each.highlights for each in threads.values()),
    )


def heroes_of(room: Room, view: UserView) -> list[UserId] | None:
    """Whom a room without a name is called after; None for a room with one."""
    for type_, key in (("m.room.name", "name"), ("m.room.canonical_alias", "alias")):
        named = room.get(type_, "")
        if named is not None and named.content.get(key):
            return None
    others = [user_id for user_id in (*room.joined, *room.invited) if user_id != view.user_id]
    if not others:
        others = [
            UserId(key)
            for (type_, key), event in room.state.items()
            if type_ == MEMBER and key != view.user_id and membership_of(event) in ("leave", "ban")
        ]
    return others[:5]
