"""What a user has been notified of, newest first.

Nothing is kept for this: the rules as they are now judge the events that
there are, so a page costs the same however long the history is.
"""

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId
from tidings.rules import push
from tidings.rules.presentation import View, client_event
from tidings.rules.push_conditions import Recipient, RoomContext
from tidings.server.live.rooms import MEMBER, Rooms, display_name_of
from tidings.server.live.users import Users, UserView, default_rules_of
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.notifications import NotificationStore
from tidings.server.storage.people import MAIN

SCANS_MAX = 5
"""Reads for one page: it may be short, and still not be the last."""
ROOMS_AT_ONCE = 30
EVENTS_AT_ONCE = 200


class Notification(msgspec.Struct, frozen=True):
    """An event that notified the user."""

    room_id: RoomId
    event: msgspec.Raw
    actions: list[object]
    read: bool
    ts: int


class Page(msgspec.Struct, omit_defaults=True):
    """The answer of GET /notifications."""

    notifications: list[Notification]
    next_token: str | None = None


class Wanted(msgspec.Struct, frozen=True):
    """Which notifications are asked for."""

    before: int
    limit: int
    only_highlights: bool


class Notifications:
    """Finds notifications."""

    def __init__(self, db: Database, rooms: Rooms, users: Users, store: NotificationStore) -> None:
        self._db = db
        self._rooms = rooms
        self._users = users
        self._store = store

    async def page(self, view: View, wanted: Wanted) -> Page:
        """The newest notifications before a position."""
        page, before = Page([]), wanted.before
        async with self._db.read() as tx:
            user = await self._users.load(tx, view.user_id)
            for _ in range(SCANS_MAX):
                events, before = await self._scan(tx, user, before)
                for event in events:
                    if len(page.notifications) == wanted.limit:
                        # Positions are tokens here: the next page begins before this one's last.
                        page.next_token = str(event.position + 1)
                        return page
                    actions = await self._judge(tx, user, event)
                    if actions.notify and (actions.highlight or not wanted.only_highlights):
                        page.notifications.append(_shown(event, user, view, actions))
                if not before:
                    return page
        page.next_token = str(before)
        return page

    async def _scan(self, tx: ReadTx, user: UserView, before: int) -> tuple[list[Event], int]:
        """Some of the newest events, and the position before which there may be more, or 0."""
        active = await self._store.active_rooms(tx, user.user_id, before)
        if not active:
            return [], 0
        rooms, others = active[:ROOMS_AT_ONCE], active[ROOMS_AT_ONCE:]
        events = await self._store.newest(tx, rooms, before, EVENTS_AT_ONCE)
        # Up to the newest event of the rooms left out, these are all there are.
        known = (others[0].last or 0) + 1 if others else 0
        if len(events) == EVENTS_AT_ONCE:
            known = max(known, events[-1].position)
        return [event for event in events if event.position >= known], known

    async def _judge(self, tx: ReadTx, user: UserView, event: Event) -> push.Actions:
        is_ignored = self._users.is_ignored(event.sender, by=user.user_id)
        if event.sender == user.user_id or event.redacted_by is not None or is_ignored:
            return push.Actions()
        room = await self._rooms.load(tx, event.room_id)
        if room is None:
            return push.Actions()
        levels = room.power_levels
        context = RoomContext(len(room.joined), levels.of(event.sender), levels.notification())
        member = Recipient(user.user_id, display_name_of(room.get(MEMBER, user.user_id)))
        rules = self._users.rules_of(user.user_id) or default_rules_of(user.user_id)
        return push.evaluate(event, rules, member, context)


def _shown(event: Event, user: UserView, view: View, actions: push.Actions) -> Notification:
    place = user.places.get(event.room_id)
    is_read = place is None or event.position <= place.read_upto(event.thread_id or MAIN)
    shown = msgspec.Raw(client_event(event, view))
    return Notification(event.room_id, shown, actions.to_json(), is_read, event.origin_server_ts)
