"""When long polls end, to the second: one timer for all of them instead of one for each."""

import asyncio
from typing import Protocol

TICK_S = 1.0
FINE_BELOW_MS = 3_000
"""Shorter waits are kept exactly."""


class Expiring(Protocol):
    """Something whose time comes."""

    due: int

    def expire(self) -> None:
        """Its time has come."""


class Deadlines:
    """Buckets of what ends in the same second."""

    def __init__(self) -> None:
        self._buckets: dict[int, set[Expiring]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._now = 0
        self._timers: dict[Expiring, asyncio.TimerHandle] = {}

    def add(self, expiring: Expiring, timeout_ms: int) -> None:
        """Call `expire` when the time is over."""
        loop = asyncio.get_running_loop()
        if timeout_ms < FINE_BELOW_MS:
            self._timers[expiring] = loop.call_later(timeout_ms / 1000, self._fire, expiring)
            return
        expiring.due = self._now + int(timeout_ms / 1000 / TICK_S) + 1
        self._buckets.setdefault(expiring.due, set()).add(expiring)
        if self._timer is None:
            self._timer = loop.call_later(TICK_S, self._tick)

    def remove(self, expiring: Expiring) -> None:
        """It has ended by itself."""
        bucket = self._buckets.get(expiring.due)
        if bucket is not None:
            bucket.discard(expiring)
            if not bucket:
                del self._buckets[expiring.due]
        elif self._timers:
            timer = self._timers.pop(expiring, None)
            if timer is not None:
                timer.cancel()

    def _fire(self, expiring: Expiring) -> None:
        del self._timers[expiring]
        expiring.expire()

    def _tick(self) -> None:
        self._now += 1
        for expiring in self._buckets.pop(self._now, ()):
            expiring.expire()
        self._timer = None
        if self._buckets:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
