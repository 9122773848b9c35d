"""People in memory: their rooms, their push rules, whom they ignore, what they have not read.

A `UserView` is read when its user first syncs and then kept current by the
changes. Unread counts of an ordinary member are a subtraction: the room's
count of loud events less the count at the read mark. Members whose own rules
differ are `explicit`: theirs are the notices written for them.
"""

from collections import OrderedDict
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.rules import push
from tidings.rules.push_rules import default_ruleset
from tidings.rules.stream import (
    AccountDataChanged,
    Change,
    EventAppended,
    ReceiptMoved,
    RoomForgotten,
)
from tidings.server.live.feed import Feed
from tidings.server.live.rooms import MEMBER, Rooms, membership_of
from tidings.server.storage.database import ReadTx
from tidings.server.storage.people import MAIN, WHOLE_ROOM, PeopleStore
from tidings.server.storage.rooms import RoomStore

PUSH_RULES = "m.push_rules"
IGNORED = "m.ignored_user_list"
READ_RECEIPTS = ("m.read", "m.read.private")
VIEWS_MAX = 10_000
NOTICES_MAX = 1_000
"""Notices kept in memory for one room of one user; an unread count beyond it is capped."""


@lru_cache(maxsize=4096)
def default_rules_of(user_id: UserId) -> push.Ruleset:
    """The rules of a user who has never changed any."""
    return push.compile_ruleset(default_ruleset(user_id), user_id)


class Place(msgspec.Struct):
    """A user's place in one room, and how far they have read."""

    membership: str
    position: int
    entered: int
    forgotten: int = 0
    read: dict[str, int] = {}
    """Read positions by thread: empty for the whole room, `main`, or a thread root."""
    loud: int = 0
    """The room's count of loud events at the read mark of the main timeline."""
    notices: list[tuple[int, str, bool, bool]] = []
    """Unread notices: position, thread, notify, highlight."""
    threads: list[tuple[int, str]] = []
    """Unread loud events in threads: position, thread."""

    def read_upto(self, thread_id: str) -> int:
        """The position up to which a thread (or `main`) is read."""
        return max(self.read.get(WHOLE_ROOM, 0), self.read.get(thread_id, 0))

    def move_mark(self, thread_id: str, position: int, loud: int) -> None:
        """Take up that the user has read to a position; a mark never goes back."""
        if position <= self.read.get(thread_id, 0):
            return
        if thread_id in (WHOLE_ROOM, MAIN) and position > self.read_upto(MAIN):
            self.loud = loud
        self.read = {**self.read, thread_id: position}
        if self.notices:
            self.notices = [n for n in self.notices if n[0] > self.read_upto(n[1])]
        if self.threads:
            self.threads = [t for t in self.threads if t[0] > self.read_upto(t[1])]


class Unread(msgspec.Struct, frozen=True):
    """What /sync says of a room's or a thread's unread events."""

    notifications: int
    highlights: int


class UserView:
    """The committed present of one user."""

    def __init__(self, user_id: UserId) -> None:
        self.user_id = user_id
        self.places: dict[RoomId, Place] = {}
        self.joined: set[RoomId] = set()
        self.ignored: frozenset[str] = frozenset()
        self.is_explicit = False
        self.explicit_since = 0

    def set_place(self, room_id: RoomId, place: Place) -> None:
        """Note a place in a room."""
        self.places[room_id] = place
        if place.membership == "join":
            self.joined.add(room_id)
        else:
            self.joined.discard(room_id)

    def take_member_event(self, room_id: RoomId, position: int, membership: str) -> None:
        """Take up a change of the user's own membership or profile in a room."""
        old = self.places.get(room_id)
        if old is not None and position <= old.position:
            return
        if old is not None and old.membership == membership:
            old.position = position
            return
        self.set_place(room_id, Place(membership, position, position, 0, {MAIN: position}))

    def unread(self, room_id: RoomId, room_loud: int) -> Unread:
        """Counts of the main timeline of a room the user has joined."""
        place = self.places[room_id]
        notify = 0 if self.is_explicit else room_loud - place.loud
        return self._with_notices(place, MAIN, notify)

    def unread_threads(self, room_id: RoomId) -> dict[str, Unread]:
        """Counts of each thread with unread events."""
        place = self.places[room_id]
        if not place.threads and not place.notices:
            return {}
        names = {thread for _, thread in place.threads}
        names |= {thread for _, thread, _, _ in place.notices if thread != MAIN}
        counts = {}
        for name in names:
            loud = sum(thread == name for _, thread in place.threads)
            counts[name] = self._with_notices(place, name, 0 if self.is_explicit else loud)
        return counts

    def _with_notices(self, place: Place, thread_id: str, notify: int) -> Unread:
        highlights = 0
        for _, thread, notifies, highlight in place.notices:
            if thread == thread_id:
                highlights += highlight
                notify += self.is_explicit and notifies
        return Unread(max(notify, highlights, 0), highlights)


class Users:
    """The people held in memory, and the push rules of all who have their own."""

    def __init__(
        self, people: PeopleStore, store: RoomStore, rooms: Rooms, feed: Feed
    ) -> None:
        self._people = people
        self._store = store
        self._rooms = rooms
        self._feed = feed
        self._held: OrderedDict[UserId, UserView] = OrderedDict()
        self._rules: dict[UserId, push.Ruleset] = {}

    async def start(self, tx: ReadTx) -> None:
        """Read whose push rules are their own."""
        self._rules.clear()
        for user_id, content in await self._people.users_with(tx, PUSH_RULES):
            self._set_rules(user_id, content)

    def rules_of(self, user_id: UserId) -> push.Ruleset | None:
        """A user's own push rules; None for who has the default ones."""
        return self._rules.get(user_id)

    def explicit_members(self, joined: dict[UserId, None]) -> Iterator[UserId]:
        """Those of the members whose push rules are their own."""
        if len(self._rules) < len(joined):
            return (user_id for user_id in self._rules if user_id in joined)
        return (user_id for user_id in joined if user_id in self._rules)

    def held(self, user_id: UserId) -> UserView | None:
        """The user, if they are in memory."""
        return self._held.get(user_id)

    async def load(self, tx: ReadTx, user_id: UserId) -> UserView:
        """The user's view, read from the database where memory does not hold it."""
        view = self._held.get(user_id)
        if view is not None:
            self._held.move_to_end(user_id)
            return view
        started = self._feed.position
        view = await self._read(tx, user_id)
        held = self._held.get(user_id)
        if held is not None:
            return held
        if started >= self._feed.floor:
            self._held[user_id] = view
            for change in self._feed.after(started):
                self.apply(change)
            if len(self._held) > VIEWS_MAX:
                self._held.popitem(last=False)
        return view

    async def _read(self, tx: ReadTx, user_id: UserId) -> UserView:
        view = UserView(user_id)
        view.is_explicit = user_id in self._rules
        for row in await self._store.memberships(tx, user_id):
            place = Place(row.membership, row.position, row.entered, row.forgotten)
            view.set_place(row.room_id, place)
        marks = await self._people.marks(tx, user_id)
        for mark in sorted(marks, key=lambda mark: mark.position):
            marked = view.places.get(mark.room_id)
            if marked is not None:
                marked.move_mark(mark.thread_id, mark.position, mark.loud)
        for notice in await self._people.notices_of(tx, user_id):
            self._add_notice(view, notice.room_id, (
                notice.position, notice.thread_id, bool(notice.notify), bool(notice.highlight)
            ))  # fmt: skip
        for room_id, thread_id, position in await self._people.thread_counts(tx, user_id):
            view.places[room_id].threads = [*view.places[room_id].threads, (position, thread_id)]
        ignored = await self._people.find_account_data(tx, user_id, "", IGNORED)
        view.ignored = ignored_users(ignored) if ignored else frozenset()
        return view

    @staticmethod
    def _add_notice(
        view: UserView, room_id: RoomId, notice: tuple[int, str, bool, bool]
    ) -> None:
        place = view.places.get(room_id)
        if place is None or notice[0] <= place.read_upto(notice[1]):
            return
        place.notices = [*place.notices[-NOTICES_MAX:], notice]

    def apply(self, change: Change) -> None:
        """Take up a committed change."""
        match change:
            case EventAppended():
                self._apply_event(change)
            case ReceiptMoved():
                view = self._held.get(change.user_id)
                place = view.places.get(change.room_id) if view else None
                if place is not None and change.receipt_type in READ_RECEIPTS:
                    place.move_mark(change.thread_id, change.event_position, change.loud)
            case AccountDataChanged(room_id=""):
                self._apply_account_data(change)
            case RoomForgotten():
                view = self._held.get(change.user_id)
                place = view.places.get(change.room_id) if view else None
                if place is not None:
                    place.forgotten = change.position
            case _:
                pass

    def _apply_event(self, change: EventAppended) -> None:
        event = change.event
        if event.type == MEMBER and event.state_key is not None:
            member = self._held.get(UserId(event.state_key))
            if member is not None:
                member.take_member_event(event.room_id, event.position, membership_of(event))
                entered = member.places[event.room_id]
                if entered.entered == event.position:
                    entered.loud = event.loud
        sender = self._held.get(event.sender)
        place = sender.places.get(event.room_id) if sender else None
        thread = event.thread_id or MAIN
        if place is not None:
            place.move_mark(thread, event.position, event.loud)
        for notice in change.notices:
            view = self._held.get(notice.user_id)
            if view is not None:
                self._add_notice(
                    view,
                    event.room_id,
                    (event.position, thread, notice.notify, notice.highlight),
                )
        if event.thread_id is not None and event.is_loud:
            self._add_thread_event(change)

    def _add_thread_event(self, change: EventAppended) -> None:
        event = change.event
        room = self._rooms.held(event.room_id)
        for user_id in room.joined if room else tuple(self._held):
            view = self._held.get(user_id)
            if view is None or user_id == event.sender or event.room_id not in view.joined:
                continue
            place = view.places[event.room_id]
            if event.position > place.read_upto(event.thread_id or MAIN):
                thread = str(event.thread_id)
                place.threads = [*place.threads[-NOTICES_MAX:], (event.position, thread)]

    def _apply_account_data(self, change: AccountDataChanged) -> None:
        view = self._held.get(change.user_id)
        if change.type == PUSH_RULES:
            self._set_rules(change.user_id, change.content)
            if view is not None:
                # The counts are kept otherwise from here on: read them again.
                del self._held[change.user_id]
        elif change.type == IGNORED and view is not None:
            view.ignored = ignored_users(change.content)

    def _set_rules(self, user_id: UserId, content: bytes) -> None:
        stored: JsonObject = msgspec.json.decode(content)
        ruleset = stored.get("global")
        compiled = push.compile_ruleset(
            ruleset if isinstance(ruleset, dict) else default_ruleset(user_id), user_id
        )
        if compiled.is_default:
            self._rules.pop(user_id, None)
        else:
            self._rules[user_id] = compiled

    def clear(self) -> None:
        """Forget everything; it will be read again."""
        self._held.clear()


def ignored_users(content: bytes) -> frozenset[str]:
    """The users named in m.ignored_user_list."""
    value: object = msgspec.json.decode(content)
    users = value.get("ignored_users") if isinstance(value, dict) else None
    return frozenset(users) if isinstance(users, dict) else frozenset()
