"""The recent changes in memory, and whoever waits for the next one.

Law: a waiter subscribes, then reads, then waits; a change is published after
its commit. So a change is either read or it wakes the reader.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import structs

from tidings.protocol.events import Event
from tidings.protocol.ids import UserId
from tidings.rules.stream import Change, EventAppended

CHANGES_MAX = 20_000
"""Changes kept for incremental syncs; older `since` tokens are answered from the database."""


class Listener(Protocol):
    """Someone to be told that there may be news for a user."""

    def wake(self) -> None:
        """Called on the event loop; must not block or raise."""


class Feed:
    """The tail of the stream of changes."""

    def __init__(self) -> None:
        self.position = 0
        """Everything up to here is committed and shown."""
        self.floor = 0
        """Changes after this position are all here."""
        self._changes: list[Change] = []
        self._positions: list[int] = []
        self._listeners: dict[UserId, set[Listener]] = {}
        self._watchers: list[Callable[[Sequence[Change]], None]] = []

    def after(self, position: int) -> Sequence[Change]:
        """The changes after a position, which must not be below the floor."""
        positions = self._positions
        if not positions or positions[-1] <= position:
            return ()
        if positions[0] > position:
            return self._changes
        return self._changes[bisect_right(positions, position) :]

    def append(self, changes: Sequence[Change], position: int) -> None:
        """Take up what was committed; waking comes after the replicas are current."""
        self._changes.extend(changes)
        self._positions.extend(change.position for change in changes)
        self.position = position
        if len(self._changes) > CHANGES_MAX * 5 // 4:
            surplus = len(self._changes) - CHANGES_MAX
            self.floor = self._positions[surplus - 1]
            del self._changes[:surplus]
            del self._positions[:surplus]

    def redact(self, redacted: Event) -> None:
        """Let the redacted form of an event stand in for it, and nobody be shown what it said."""
        place = bisect_right(self._positions, redacted.position) - 1
        if place >= 0 and self._positions[place] == redacted.position:
            change = self._changes[place]
            if isinstance(change, EventAppended):
                self._changes[place] = structs.replace(change, event=redacted)

    def reset(self, position: int) -> None:
        """Start anew at a position: nothing before it is here."""
        self._changes.clear()
        self._positions.clear()
        self.position = self.floor = position
        for listeners in self._listeners.values():
            for listener in tuple(listeners):
                listener.wake()

    def subscribe(self, user_id: UserId, listener: Listener) -> None:
        """Wake the listener whenever there may be news for the user."""
        self._listeners.setdefault(user_id, set()).add(listener)

    def unsubscribe(self, user_id: UserId, listener: Listener) -> None:
        """Stop waking the listener."""
        listeners = self._listeners.get(user_id)
        if listeners is not None:
            listeners.discard(listener)
            if not listeners:
                del self._listeners[user_id]

    def watch(self, watcher: Callable[[Sequence[Change]], None]) -> None:
        """Call with every committed batch of changes: pushers, plugins, application services."""
        self._watchers.append(watcher)

    def tell_watchers(self, changes: Sequence[Change]) -> None:
        """Pass a committed batch on."""
        for watcher in self._watchers:
            watcher(changes)

    @property
    def waiting(self) -> int:
        """How many users someone is listening for."""
        return len(self._listeners)

    def wake(self, users: Iterable[UserId], count: int) -> None:
        """Wake those of the users who are listened for; `count` is how many there are."""
        listeners = self._listeners
        if len(listeners) < count and isinstance(users, dict | set | frozenset):
            found = [user_id for user_id in listeners if user_id in users]
        else:
            found = [user_id for user_id in users if user_id in listeners]
        for user_id in found:
            for listener in tuple(listeners.get(user_id, ())):
                listener.wake()

    def wake_if(self, concerns: Callable[[UserId], bool]) -> None:
        """Wake everybody listened for whom the question is answered with yes."""
        for user_id in [user_id for user_id in self._listeners if concerns(user_id)]:
            for listener in tuple(self._listeners.get(user_id, ())):
                listener.wake()
