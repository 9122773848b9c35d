"""Presence: from signs of life to online, unavailable and offline.

Theory of operation. Every sync is a sign of life and only moves a time in
memory; nothing else happens while a user stays what they are. Each user who
is not offline has one timer in a heap, looked at when it is due: if their
time has moved on meanwhile, the timer is set anew. Changes are gathered and
written together by `flush`, which a worker calls.
Source: client-server API, "Presence".
"""

import asyncio
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Literal, TypeAlias

import msgspec

from tidings.protocol.errors import Forbidden
from tidings.protocol.ids import UserId
from tidings.rules.stream import Change, EventAppended, PresenceChanged, ReceiptMoved, TypingChanged
from tidings.server.live.presence import Presence
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.people import PeopleStore

State: TypeAlias = Literal["online", "unavailable", "offline"]

OFFLINE_AFTER_MS = 45_000
"""How long a user stays after the last sign of life, apart from the time it may last itself."""
IDLE_AFTER_MS = 5 * 60_000
CURRENTLY_ACTIVE_MS = 60_000
FLUSHED_AT_ONCE = 500
"""Changes in one write: bounds how long other writers wait."""


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """What others are told of a user."""

    presence: str
    last_active_ago: int | None = None
    status_msg: str | None = None
    currently_active: bool | None = None


class _Person:
    """Somebody who is, or just was, not offline."""

    __slots__ = (
        "active_ts", "idle_until", "is_away", "is_timed", "online_until", "shown", "status_msg",
        "user_id",
    )  # fmt: skip

    def __init__(self, user_id: UserId, known: PresenceChanged | None) -> None:
        self.user_id = user_id
        self.shown = known.presence if known else "offline"
        self.status_msg = known.status_msg if known else None
        self.active_ts = known.last_active_ts if known else 0
        self.online_until = self.idle_until = 0
        self.is_away = False
        """Whether they said themselves that they are unavailable."""
        self.is_timed = False

    def state_at(self, now: int) -> State:
        if now < self.online_until:
            idle = self.is_away or now - self.active_ts >= IDLE_AFTER_MS
            return "unavailable" if idle else "online"
        return "unavailable" if now < self.idle_until else "offline"

    def next_change(self, now: int) -> int:
        """When the state may be another, if nothing happens."""
        times = (self.online_until, self.idle_until, self.active_ts + IDLE_AFTER_MS)
        return min(time for time in times if time > now)


class PresenceTracker:
    """Knows who has given a sign of life, and tells of changes."""

    def __init__(
        self,
        db: Database,
        people: PeopleStore,
        presence: Presence,
        now_ms: Callable[[], int],
        *,
        is_enabled: bool = True,
    ) -> None:
        self._db = db
        self._people = people
        self._presence = presence
        self._now_ms = now_ms
        self._is_enabled = is_enabled
        self._held: dict[UserId, _Person] = {}
        self._changed: dict[UserId, _Person] = {}
        self._timers: list[tuple[int, int, _Person]] = []
        self._numbers = count()
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Whoever was left not offline by the last run is so soon, unless they come back."""
        now = self._now_ms()
        for known in tuple(self._presence.all()):
            if known.presence != "offline":
                person = self._held[known.user_id] = _Person(known.user_id, known)
                person.idle_until = now + OFFLINE_AFTER_MS
                if known.presence == "online":
                    person.online_until = person.idle_until
                if not self._is_enabled:
                    person.online_until = person.idle_until = 0
                self._refresh(person, now)
        if not self._is_enabled:
            await self.flush()

    def seen(self, user_id: UserId, state: str, wait_ms: int = 0) -> None:
        """Take up that a client syncs as `state`, and may go on waiting for so long."""
        if state == "offline" or not self._is_enabled:
            return
        now = self._now_ms()
        person = self._held.get(user_id) or self._person(user_id)
        until = now + wait_ms + OFFLINE_AFTER_MS
        if state == "online":
            was_here = now < person.online_until
            person.online_until = max(person.online_until, until)
            if person.shown == "online":
                return
            if not was_here and not person.is_away:
                person.active_ts = now
        else:
            person.idle_until = max(person.idle_until, until)
            if person.shown != "offline":
                return
        self._refresh(person, now)

    def active(self, user_id: UserId) -> None:
        """Take up that a user does something: who is here is not idle."""
        person = self._held.get(user_id)
        if person is None or person.shown == "offline":
            return
        person.active_ts = now = self._now_ms()
        if person.shown != "online":
            person.is_away = False
            person.online_until = max(person.online_until, now + OFFLINE_AFTER_MS)
            self._refresh(person, now)

    def watch(self, changes: Sequence[Change]) -> None:
        """Take up what people do from what is committed."""
        for change in changes:
            match change:
                case EventAppended():
                    self.active(change.event.sender)
                case ReceiptMoved() | TypingChanged():
                    self.active(change.user_id)
                case _:
                    pass

    def set(self, user_id: UserId, state: State, status_msg: str | None) -> None:
        """Take up what a user says of themselves."""
        if not self._is_enabled:
            return
        now = self._now_ms()
        person = self._held.get(user_id) or self._person(user_id)
        person.status_msg = status_msg
        person.is_away = state == "unavailable"
        until = 0 if state == "offline" else now + OFFLINE_AFTER_MS
        if state == "online":
            person.active_ts = now
        person.online_until = until if state == "online" else 0
        person.idle_until = until
        self._refresh(person, now)
        self._note(person)

    async def get(self, viewer: UserId, user_id: UserId) -> Status:
        """A user's presence as another may see it; raises Forbidden."""
        if not self._is_enabled:
            return Status("offline")
        if viewer != user_id:
            async with self._db.read() as tx:
                if not await self._people.is_sharing_room(tx, viewer, user_id):
                    raise Forbidden("You are not allowed to see their presence")
        known = self._held.get(user_id) or _Person(user_id, self._presence.of(user_id))
        ago = self._now_ms() - known.active_ts
        return Status(
            presence=known.shown,
            last_active_ago=max(0, ago) if known.active_ts else None,
            status_msg=known.status_msg,
            currently_active=ago < CURRENTLY_ACTIVE_MS if known.shown == "online" else None,
        )

    async def wait_until_due(self) -> None:
        """Return when there are changes to flush or timers to look at."""
        timeout = None
        if self._timers:
            timeout = max(0, self._timers[0][0] - self._now_ms()) / 1000
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return

    def expire(self) -> None:
        """Look at the timers that are due."""
        now, timers = self._now_ms(), self._timers
        while timers and timers[0][0] <= now:
            _, _, person = heappop(timers)
            if self._held.get(person.user_id) is person:
                person.is_timed = False
                self._refresh(person, now)
                if self._is_news(person):  # another process may have said otherwise
                    self._note(person)

    async def flush(self) -> None:
        """Write down and tell what has changed."""
        changed, self._changed = self._changed, {}
        self._wake.clear()
        people = [person for person in changed.values() if self._is_news(person)]
        try:
            while people:
                await self._write(people[:FLUSHED_AT_ONCE])
                del people[:FLUSHED_AT_ONCE]
        finally:
            for person in people:  # only after a failure: the next flush tries again
                self._note(person)
        for person in changed.values():
            if person.shown == "offline" and self._held.get(person.user_id) is person:
                del self._held[person.user_id]

    async def _write(self, people: Sequence[_Person]) -> None:
        async def recipe(tx: WriteTx) -> None:
            changes = [
                PresenceChanged(
                    tx.next_position(), each.user_id, each.shown, each.status_msg, each.active_ts
                )
                for each in people
            ]
            await self._people.set_presences(tx, changes)
            for change in changes:
                tx.emit(change)

        await self._db.write(recipe)

    def _is_news(self, person: _Person) -> bool:
        known = self._presence.of(person.user_id)
        if known is None:
            return person.shown != "offline" or person.status_msg is not None
        return (known.presence, known.status_msg) != (person.shown, person.status_msg)

    def _person(self, user_id: UserId) -> _Person:
        person = self._held[user_id] = _Person(user_id, self._presence.of(user_id))
        return person

    def _refresh(self, person: _Person, now: int) -> None:
        state = person.state_at(now)
        if state != person.shown:
            person.shown = state
            self._note(person)
        if state != "offline" and not person.is_timed:
            person.is_timed = True
            timer = (person.next_change(now), next(self._numbers), person)
            heappush(self._timers, timer)

    def _note(self, person: _Person) -> None:
        self._changed[person.user_id] = person
        self._wake.set()
