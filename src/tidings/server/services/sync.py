"""Waiting for news: subscribe, then read, then wait.

A long poll is not a task but a `Poll`, which the feed wakes by a plain call:
most of what a delivery costs is what is done around it.
"""

import asyncio
from collections.abc import Callable

from tidings.protocol.errors import InvalidParam
from tidings.protocol.tokens import parse_token
from tidings.rules import sync
from tidings.server.live.present import Present
from tidings.server.services.deadlines import Deadlines
from tidings.server.services.deliveries import Deliveries
from tidings.server.services.sync_recent import Outcome, RecentSync
from tidings.server.services.sync_request import SyncRequest
from tidings.server.services.sync_stored import StoredSync
from tidings.server.storage.database import Database

Answer = Callable[[bytes], None]
Failure = Callable[[BaseException], None]


class Sync:
    """Answers /sync, out of memory where it can."""

    def __init__(
        self,
        db: Database,
        present: Present,
        recent: RecentSync,
        stored: StoredSync,
        deliveries: Deliveries,
    ) -> None:
        self._db = db
        self._present = present
        self._recent = recent
        self._stored = stored
        self._deliveries = deliveries
        self.feed = present.feed
        self.deadlines = Deadlines()

    async def answer(
        self, request: SyncRequest, on_lost: Callable[[Callable[[], None]], None]
    ) -> bytes:
        """The body of the answer, at the latest when the request's time is over.

        `on_lost` takes a function to call when the client goes away.
        """
        await self.begin(request)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        poll = Poll(self, request, answered.set_result, answered.set_exception)
        on_lost(poll.expire)
        poll.start()
        try:
            return await answered
        finally:
            poll.cancel()

    async def begin(self, request: SyncRequest) -> None:
        """Start to serve a request; raises InvalidParam for a token of no past or present."""
        if request.since is not None and request.since > self.feed.position:
            await self._db.catch_up()  # another process may have handed the token out
            if request.since > self.feed.position:
                raise InvalidParam("since is a token this server has not handed out")
        if not self.is_ready(request):
            async with self._db.read() as tx:
                await self._present.load(tx, request.user_id)

    def is_ready(self, request: SyncRequest) -> bool:
        """Whether `begin` would have nothing to wait for."""
        return (request.since or 0) <= self.feed.position and (
            self._present.users.held(request.user_id) is not None
        )

    def read_now(self, request: SyncRequest, after: int) -> bytes | Outcome:
        """What is new after a position as far as memory knows, without waiting for anything."""
        if request.since is None or request.full_state or after < self.feed.floor:
            return Outcome.STORED
        if request.queue_since is not None:
            return Outcome.STORED
        view = self._present.users.held(request.user_id)
        if view is None:
            return Outcome.STORED
        return self._recent.read(view, request, after)

    def nothing_new(self, request: SyncRequest) -> bytes:
        """The answer that there is nothing: the same token again."""
        view = self._present.users.held(request.user_id)
        counts = view.key_counts.get(request.device_id) if view is not None else None
        return sync.assemble(sync.Update(request.token, key_counts=counts or sync.NO_KEYS))

    def acknowledge(self, request: SyncRequest) -> None:
        """What was sent with the request's token has arrived."""
        view = self._present.users.held(request.user_id)
        if view is not None and view.queues:
            self._deliveries.acknowledge(request, view)

    async def read_stored(self, request: SyncRequest) -> sync.Update:
        """What the database holds that is new, or all of it."""
        return await self._stored.read(request)


class Poll:
    """One long poll; it answers once, fails once, or is cancelled."""

    __slots__ = (
        "_after", "_answer", "_fail", "_is_late", "_is_over", "_request", "_sync", "_task", "due",
    )  # fmt: skip

    def __init__(self, sync: Sync, request: SyncRequest, answer: Answer, fail: Failure) -> None:
        self._sync = sync
        self._request = request
        self._answer = answer
        self._fail = fail
        self._after = request.device.scan_from(request)
        self._task: asyncio.Task[None] | None = None
        self._is_over = self._is_late = False
        self.due = 0
        """Where `Deadlines` keeps it."""
        request.device.arrived(request.since)

    def start(self) -> None:
        """Subscribe and read; what comes later wakes it."""
        sync, request = self._sync, self._request
        sync.acknowledge(request)
        sync.feed.subscribe(request.user_id, self)
        self.wake()
        if self._is_over or request.since is None:
            return
        if request.timeout_ms <= 0 and self._task is None:
            self.expire()
        else:
            sync.deadlines.add(self, request.timeout_ms)

    def wake(self) -> None:
        """There may be news."""
        if self._task is not None or self._is_over:
            return
        outcome = self._sync.read_now(self._request, self._after)
        if isinstance(outcome, bytes):
            self._finish(outcome)
        elif outcome is Outcome.STORED:
            self._task = asyncio.ensure_future(self._read_stored())
        else:
            self._after = max(self._after, self._sync.feed.position)

    async def _read_stored(self) -> None:
        try:
            update = await self._sync.read_stored(self._request)
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            self._close()
            self._fail(error)
            return
        self._task = None
        request = self._request
        if update.has_news or request.since is None or request.full_state:
            self._finish(sync.assemble(update))
            return
        self._after = max(self._after, parse_token(update.next_batch))
        if self._is_late or request.timeout_ms <= 0:
            self.expire()
        elif self._after < self._sync.feed.position:
            self.wake()

    def expire(self) -> None:
        """The time is over: the same token again, unless a reading is about to answer."""
        self._is_late = True
        if self._is_over or self._task is not None:
            return
        request = self._request
        request.device.quiet(request, self._after)
        self._finish(self._sync.nothing_new(request))

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        if not self._is_over:
            self._close()
        if self._task is not None:
            self._task.cancel()

    def _finish(self, body: bytes) -> None:
        self._close()
        self._answer(body)

    def _close(self) -> None:
        self._is_over = True
        self._sync.feed.unsubscribe(self._request.user_id, self)
        self._sync.deadlines.remove(self)
