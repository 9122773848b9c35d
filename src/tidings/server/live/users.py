"""People in memory: their rooms, their push rules, whom they ignore, what they have not read.

A `UserView` is read when its user first syncs and then kept current by the
changes. Who has ever changed their push rules or ignored somebody is
*explicit*, for good: an event may notify them otherwise than it notifies an
ordinary member, so their unread counts are the notices written for them.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import cast

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, RoomId, UserId
from tidings.rules import push
from tidings.rules.push_rules import default_ruleset
from tidings.rules.stream import (
    AccountDataChanged,
    Change,
    EventAppended,
    KeyCountsChanged,
    Notice,
    ReceiptMoved,
    RoomForgotten,
    ToDeviceQueued,
)
from tidings.server.live.feed import Feed
from tidings.server.live.places import Place, Unread, UnreadNotice
from tidings.server.live.rooms import MEMBER, Rooms, membership_of
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.device_keys import DeviceKeyStore
from tidings.server.storage.people import MAIN, PeopleStore
from tidings.server.storage.rooms import RoomStore

__all__ = ["Place", "Unread", "UserView", "Users", "default_rules_of", "ignored_users"]

PUSH_RULES = "m.push_rules"
IGNORED = "m.ignored_user_list"
MAKES_EXPLICIT = (PUSH_RULES, IGNORED)
"""Global account data whose owner is counted by notices."""
READ_RECEIPTS = ("m.read", "m.read.private")
VIEWS_MAX = 10_000


@lru_cache(maxsize=4096)
def default_rules_of(user_id: UserId) -> push.Ruleset:
    """The rules of a user who has never changed any."""
    return push.compile_ruleset(default_ruleset(user_id), user_id)


class UserView:
    """The committed present of one user."""

    def __init__(self, user_id: UserId, position: int, *, is_explicit: bool = False) -> None:
        self.user_id = user_id
        self.position = position
        """Where the snapshot was taken that this was read from."""
        self.is_explicit = is_explicit
        self.places: dict[RoomId, Place] = {}
        self.joined: set[RoomId] = set()
        self.ignored: frozenset[str] = frozenset()
        self.key_counts: dict[DeviceId, bytes] = {}
        """What each of the user's devices is told of its one-time keys."""
        self.queues: dict[DeviceId, tuple[int, int]] = {}
        """Between which positions messages may wait for devices."""

    def set_place(self, room_id: RoomId, place: Place) -> None:
        """Note a place in a room."""
        self.places[room_id] = place
        if place.membership == "join":
            self.joined.add(room_id)
        else:
            self.joined.discard(room_id)

    def unread(self, room_id: RoomId, room_loud: int) -> Unread:
        """Counts of the main timeline of a room the user has joined."""
        place = self.places[room_id]
        return place.count(MAIN, 0 if self.is_explicit else place.unread_loud(room_loud))

    def unread_threads(self, room_id: RoomId) -> dict[str, Unread]:
        """Counts of each thread with unread events."""
        place = self.places[room_id]
        if not place.threads and not place.notices:
            return {}
        return {
            name: place.count(name, sum(thread == name for _, thread in place.threads))
            for name in place.unread_threads()
        }

    def take_event(self, change: EventAppended, notice: Notice | None) -> None:
        """Take up an event of a room; the notice is this user's, if there is one."""
        event = change.event
        if event.position <= self.position:
            return
        if event.type == MEMBER and event.state_key == self.user_id:
            self._take_membership(change)
        place = self.places.get(event.room_id)
        if place is None or place.membership != "join":
            return
        thread_id = event.thread_id or MAIN
        if event.sender == self.user_id:
            place.move_mark(thread_id, event.position, event.loud)
        elif event.is_loud and event.thread_id is not None and not self.is_explicit:
            place.add_thread_event(event.position, event.thread_id)
        if notice is not None:
            counts = notice.notify and (self.is_explicit or not event.is_loud)
            place.add_notice(UnreadNotice(event.position, thread_id, counts, notice.highlight))
        if change.redacted is not None:
            place.forget_event(change.redacted)

    def _take_membership(self, change: EventAppended) -> None:
        event, membership = change.event, membership_of(change.event)
        old = self.places.get(event.room_id)
        if old is not None and old.membership == membership:
            old.position = event.position
            return
        place = Place(membership, event.position, event.position, loud=event.loud)
        self.set_place(event.room_id, place)

    def take(self, change: Change) -> None:
        """Take up a change of the user's own that is not an event."""
        if change.position <= self.position:
            return
        match change:
            case ReceiptMoved() if change.receipt_type in READ_RECEIPTS:
                place = self.places.get(change.room_id)
                if place is not None:
                    place.move_mark(change.thread_id, change.event_position, change.loud)
            case AccountDataChanged(room_id="", type="m.ignored_user_list"):
                self.ignored = ignored_users(change.content)
            case RoomForgotten():
                place = self.places.get(change.room_id)
                if place is not None:
                    place.forgotten = change.position
            case KeyCountsChanged():
                self.key_counts[change.device_id] = change.counts
            case ToDeviceQueued():
                oldest, _ = self.queues.get(change.device_id, (change.position, 0))
                self.queues[change.device_id] = (oldest, change.position)
            case _:
                pass


class Users:
    """The people held in memory, and the push rules of all who are explicit."""

    def __init__(
        self,
        people: PeopleStore,
        store: RoomStore,
        keys: DeviceKeyStore,
        rooms: Rooms,
        feed: Feed,
    ) -> None:
        self._people = people
        self._store = store
        self._keys = keys
        self._rooms = rooms
        self._feed = feed
        self._held: OrderedDict[UserId, UserView] = OrderedDict()
        self._rules: dict[UserId, push.Ruleset] = {}
        self._ignored: dict[UserId, frozenset[str]] = {}

    async def start(self, tx: ReadTx) -> None:
        """Read who is explicit."""
        rules = await self._people.users_with(tx, PUSH_RULES)
        ignored = await self._people.users_with(tx, IGNORED)
        self._ignored = {user_id: ignored_users(content) for user_id, content in ignored}
        self._rules = {user_id: default_rules_of(user_id) for user_id in self._ignored}
        self._rules.update((user_id, _compile(content, user_id)) for user_id, content in rules)

    def rules_of(self, user_id: UserId) -> push.Ruleset | None:
        """The push rules of an explicit user; None for everybody else."""
        return self._rules.get(user_id)

    def explicit_rules(self, tx: WriteTx) -> Mapping[UserId, push.Ruleset]:
        """The rules of all explicit users, with those that became so earlier in this group."""
        staged = tx.pending.get(PUSH_RULES)
        return {**self._rules, **_as_rules(staged)} if staged else self._rules

    def stage(self, tx: WriteTx, change: AccountDataChanged) -> None:
        """Let the recipes after this one see a change that makes its user explicit."""
        staged = _as_rules(tx.pending.setdefault(PUSH_RULES, {}))
        if change.type == PUSH_RULES:
            staged[change.user_id] = _compile(change.content, change.user_id)
        else:
            rules = self._rules.get(change.user_id) or default_rules_of(change.user_id)
            staged.setdefault(change.user_id, rules)

    def is_ignored(self, sender: UserId, by: UserId) -> bool:
        """Whether a user ignores whom an event comes from."""
        return sender in self._ignored.get(by, ())

    def held(self, user_id: UserId) -> UserView | None:
        """The user, if they are in memory."""
        return self._held.get(user_id)

    def has_notices(self, user_id: UserId, room_id: RoomId) -> bool:
        """Whether a user in memory has unread notices of a room."""
        view = self._held.get(user_id)
        place = view.places.get(room_id) if view else None
        return place is not None and bool(place.notices)

    async def load(self, tx: ReadTx, user_id: UserId) -> UserView:
        """The user's view, read from the database where memory does not hold it."""
        view = self._held.get(user_id)
        if view is not None:
            self._held.move_to_end(user_id)
            return view
        view = await self.read(tx, user_id, is_explicit=user_id in self._rules)
        held = self._held.get(user_id)
        if held is not None:
            return held
        if view.position >= self._feed.floor:
            self._hold(view)
        return view

    def _hold(self, view: UserView) -> None:
        self._held[view.user_id] = view
        if len(self._held) > VIEWS_MAX:
            self._held.popitem(last=False)
        for change in self._feed.after(view.position):
            if isinstance(change, EventAppended):
                view.take_event(change, _notice_for(view.user_id, change.notices))
            elif change.user_id == view.user_id:
                view.take(change)
                if isinstance(change, AccountDataChanged) and change.type in MAKES_EXPLICIT:
                    # If that made them explicit, their notices are not in the snapshot.
                    self._held.pop(view.user_id, None)

    async def read(self, tx: ReadTx, user_id: UserId, *, is_explicit: bool) -> UserView:
        """The user's view as the snapshot has it."""
        view = UserView(user_id, await tx.snapshot_position(), is_explicit=is_explicit)
        for row in await self._store.memberships(tx, user_id):
            place = Place(row.membership, row.position, row.entered, row.forgotten)
            view.set_place(row.room_id, place)
        for mark in sorted(await self._people.marks(tx, user_id), key=lambda m: m.position):
            marked = view.places.get(mark.room_id)
            if marked is not None:
                marked.move_mark(mark.thread_id, mark.position, mark.loud)
        for notice in await self._people.notices_of(tx, user_id):
            counts = bool(notice.notify) and (is_explicit or not notice.is_loud)
            view.places[notice.room_id].add_notice(
                UnreadNotice(notice.position, notice.thread_id, counts, bool(notice.highlight))
            )
        if not is_explicit:
            for room_id, thread_id, position in await self._people.thread_counts(tx, user_id):
                view.places[room_id].add_thread_event(position, thread_id)
            for room_id, position in await self._people.redacted_unread(tx, user_id):
                view.places[room_id].add_redacted(position)
        view.ignored = self._ignored.get(user_id, frozenset())
        view.key_counts = await self._keys.counts_of(tx, user_id)
        view.queues = await self._keys.queues_of(tx, user_id)
        return view

    def apply(self, change: Change) -> None:
        """Take up a committed change."""
        if isinstance(change, EventAppended):
            self._apply_event(change)
            return
        if isinstance(change, AccountDataChanged) and not change.room_id:
            self._apply_account_data(change)
        view = self._held.get(change.user_id)
        if view is not None:
            view.take(change)

    def _apply_event(self, change: EventAppended) -> None:
        event = change.event
        concerned: dict[UserId, Notice | None] = {event.sender: None}
        if event.type == MEMBER and event.state_key is not None:
            concerned[UserId(event.state_key)] = None
        if change.redacted is not None or (event.thread_id is not None and event.is_loud):
            room = self._rooms.held(event.room_id)
            concerned.update(dict.fromkeys(room.joined if room else tuple(self._held)))
        for notice in change.notices:
            concerned[notice.user_id] = notice
        for user_id, own in concerned.items():
            view = self._held.get(user_id)
            if view is not None:
                view.take_event(change, own)

    def _apply_account_data(self, change: AccountDataChanged) -> None:
        user_id = change.user_id
        if change.type not in MAKES_EXPLICIT:
            return
        if change.type == PUSH_RULES:
            self._rules[user_id] = _compile(change.content, user_id)
        else:
            self._ignored[user_id] = ignored_users(change.content)
            self._rules.setdefault(user_id, default_rules_of(user_id))
        view = self._held.get(user_id)
        if view is not None and not view.is_explicit:
            # They are counted otherwise from here on: read them again.
            del self._held[user_id]

    def clear(self) -> None:
        """Forget everything; it will be read again."""
        self._held.clear()


def ignored_users(content: bytes) -> frozenset[str]:
    """The users named in m.ignored_user_list."""
    value: object = msgspec.json.decode(content)
    users = value.get("ignored_users") if isinstance(value, dict) else None
    return frozenset(users) if isinstance(users, dict) else frozenset()


def _compile(content: bytes, user_id: UserId) -> push.Ruleset:
    stored: JsonObject = msgspec.json.decode(content)
    ruleset = stored.get("global")
    return push.compile_ruleset(
        ruleset if isinstance(ruleset, dict) else default_ruleset(user_id), user_id
    )


def _as_rules(staged: object) -> dict[UserId, push.Ruleset]:
    return cast("dict[UserId, push.Ruleset]", staged)


def _notice_for(user_id: UserId, notices: Iterable[Notice]) -> Notice | None:
    return next((notice for notice in notices if notice.user_id == user_id), None)
