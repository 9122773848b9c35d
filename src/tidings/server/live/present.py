"""The committed present: every replica, and the one place that moves them all forward."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import (
    AccountDataChanged,
    Change,
    DeviceListChanged,
    EventAppended,
    PresenceChanged,
    ReceiptMoved,
    RoomForgotten,
    SessionChanged,
    ToDeviceQueued,
    TypingChanged,
)
from tidings.server.live.feed import Feed
from tidings.server.live.presence import Presence
from tidings.server.live.rooms import MEMBER, Rooms
from tidings.server.live.typing import Typing
from tidings.server.live.users import Users, UserView
from tidings.server.storage.database import ReadTx
from tidings.server.storage.people import PeopleStore


class Follower(Protocol):
    """Something held in memory that changes may make stale."""

    def apply(self, change: Change) -> None:
        """Take up a committed change."""

    def clear(self) -> None:
        """Forget everything; it will be read again."""


class Present:
    """Applies committed changes: first all replicas, then the feed, then the waking."""

    def __init__(  # noqa: PLR0913, PLR0917 - the replicas, by name
        self,
        people: PeopleStore,
        feed: Feed,
        rooms: Rooms,
        users: Users,
        typing: Typing,
        presence: Presence,
        sessions: Follower,
    ) -> None:
        self._people = people
        self._sessions = sessions
        self.feed = feed
        self.rooms = rooms
        self.users = users
        self.typing = typing
        self.presence = presence

    def publish(self, changes: Sequence[Change], position: int) -> None:
        """Show what a commit changed."""
        for change in changes:
            self._apply(change)
        self.feed.append(changes, position)
        for change in changes:
            if isinstance(change, EventAppended) and change.redacted is not None:
                self.feed.redact(change.redacted)
        self.feed.tell_watchers(changes)
        # A turn later than the writers are answered: who sends a message should have its id
        # before their other connection hears of it (matrix-js-sdk loses its thread otherwise).
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._wake_all, changes)

    def _wake_all(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._wake_for(change)

    async def reset(self, tx: ReadTx, position: int) -> None:
        """Begin anew from a snapshot: at the start, and when too much changed to follow it."""
        await self.users.start(tx)
        for typing in await self._people.typing_changed(tx, 0, position):
            self.typing.apply(typing)
        for presence in await self._people.presence_changed(tx, 0, position):
            self.presence.apply(presence)
        # Without a pause from here: nothing older than the feed's new floor may be held.
        self.rooms.clear()
        self.users.clear()
        self.presence.clear()
        self._sessions.clear()
        self.feed.reset(position)

    async def load(self, tx: ReadTx, user_id: UserId) -> UserView:
        """A user's view, and who is in the rooms they are in."""
        view = await self.users.load(tx, user_id)
        if all(self.presence.is_following(room_id) for room_id in view.joined):
            return view
        started = await tx.snapshot_position()
        rows = await self._people.company(tx, user_id, self.presence.room_members_max)
        if started < self.feed.floor:
            return view
        company: dict[RoomId, list[UserId]] = {room_id: [] for room_id in view.joined}
        for room_id, member in rows:
            company.setdefault(room_id, []).append(member)
        fresh = {room_id for room_id in company if not self.presence.is_following(room_id)}
        for room_id in fresh:
            self.presence.follow(room_id, company[room_id])
        for change in self.feed.after(started):
            if isinstance(change, EventAppended) and change.event.room_id in fresh:
                self.presence.apply_event(change.event)
        return view

    def _apply(self, change: Change) -> None:
        match change:
            case EventAppended():
                if change.redacted is not None:
                    self.rooms.redact(change.redacted)
                self.rooms.apply(change.event)
                self.presence.apply_event(change.event)
            case TypingChanged():
                self.typing.apply(change)
            case PresenceChanged():
                self.presence.apply(change)
            case SessionChanged():
                self._sessions.apply(change)
            case _:
                pass
        self.users.apply(change)

    def _wake_for(self, change: Change) -> None:
        match change:
            case EventAppended():
                self._wake_room(change.event.room_id)
                if change.event.type == MEMBER and change.event.state_key is not None:
                    self.feed.wake((UserId(change.event.state_key),), 1)
            case ReceiptMoved(receipt_type="m.read") | TypingChanged():
                self._wake_room(change.room_id)
            case ReceiptMoved() | AccountDataChanged() | SessionChanged() | RoomForgotten():
                self.feed.wake((change.user_id,), 1)
            case ToDeviceQueued():
                self.feed.wake((change.user_id,), 1)
            case DeviceListChanged():
                self._wake_for_device_list(change)
            case PresenceChanged():
                self._wake(self._acquaintances(change.user_id))

    def _wake_for_device_list(self, change: DeviceListChanged) -> None:
        if change.seen_by:
            self.feed.wake((change.seen_by,), 1)
            return
        self.feed.wake((change.user_id,), 1)
        for room_id in change.rooms:
            self._wake_room(room_id)

    def _wake(self, users: Iterable[UserId]) -> None:
        people = set(users)
        self.feed.wake(people, len(people))

    def _wake_room(self, room_id: RoomId) -> None:
        room = self.rooms.held(room_id)
        if room is not None:
            self.feed.wake(room.joined, len(room.joined))
            return
        self.feed.wake_if(lambda user_id: self._is_joined(user_id, room_id))

    def _is_joined(self, user_id: UserId, room_id: RoomId) -> bool:
        view = self.users.held(user_id)
        return view is None or room_id in view.joined

    def _acquaintances(self, user_id: UserId) -> set[UserId]:
        view = self.users.held(user_id)
        return self.presence.seen_by(view) if view else self.presence.who_see(user_id)
