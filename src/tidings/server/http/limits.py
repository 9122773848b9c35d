"""Rate limits: a token bucket for each user or address and each kind of request."""

import time
from collections import OrderedDict

from tidings.protocol.errors import LimitExceeded
from tidings.server.config import RateLimit, RateLimits
from tidings.server.http.request import Request

BUCKETS_MAX = 100_000


class RateLimiter:
    """Counts requests; raises LimitExceeded when there were too many."""

    def __init__(self, settings: RateLimits) -> None:
        self._enabled = settings.enabled
        self._settings: dict[str, RateLimit] = {
            "send": settings.send,
            "login": settings.login,
            "register": settings.register,
            "media": settings.media,
            "request": settings.request,
        }
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def check(self, kind: str, request: Request) -> None:
        """Count the request for its user, or for its address where nobody is signed in."""
        if not self._enabled or kind == "unlimited":
            return
        requester = request.maybe_requester
        by_address = requester is None or kind in ("login", "register")
        self.take(kind, request.address if by_address or not requester else requester.user_id)

    def take(self, kind: str, whom: str) -> None:
        """Count one for whom; raises LimitExceeded with the time to wait."""
        if not self._enabled:
            return
        limit = self._settings[kind]
        now = time.monotonic()
        left, seen = self._buckets.pop((kind, whom), (float(limit.burst), now))
        left = min(float(limit.burst), left + (now - seen) * limit.per_second)
        allowed = left >= 1
        self._buckets[kind, whom] = (left - 1 if allowed else left, now)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_ms = int((1 - left) / limit.per_second * 1000) + 1
            raise LimitExceeded("Too many requests; wait a moment", wait_ms)
