"""A sync that goes on: every piece of news is sent as soon as it is there.

A stream has a place, the position up to which its reader has been sent
everything. It has no task while memory holds the news; a stretch that needs
the database runs as one task, and news that comes meanwhile waits for it.
"""

import asyncio
from collections.abc import Callable

import msgspec

from tidings.protocol.errors import MatrixError, ServerFault
from tidings.protocol.tokens import parse_sync_token
from tidings.rules import sync
from tidings.server.services.sync import Sync
from tidings.server.services.sync_recent import Outcome
from tidings.server.services.sync_request import SyncRequest


class SyncStream:
    """Pushes sync answers to one reader."""

    def __init__(
        self,
        sync: Sync,
        request: SyncRequest,
        send: Callable[[bytes], None],
        *,
        is_congested: Callable[[], bool],
        fail: Callable[[MatrixError], None],
    ) -> None:
        self._sync = sync
        self._request = request
        self._send = send
        self._is_congested = is_congested
        self._fail = fail
        self._after = request.since or 0
        self._task: asyncio.Task[None] | None = None
        self._is_open = False

    async def open(self) -> None:
        """Subscribe; raises InvalidParam for a token that was never handed out."""
        request = self._request
        await self._sync.begin(request)
        self._after = request.device.scan_from(request)
        request.device.arrived(request.since)
        # What the stream sends from here on is known to have arrived at its next opening.
        self._sync.acknowledge(request)
        self._sync.feed.subscribe(self._request.user_id, self)
        self._is_open = True

    def close(self) -> None:
        """The reader has gone away."""
        self._is_open = False
        self._sync.feed.unsubscribe(self._request.user_id, self)
        if self._task is not None:
            self._task.cancel()

    def resume(self) -> None:
        """The reader can take more."""
        self.wake()

    def wake(self) -> None:
        """There may be news."""
        if not self._is_open or self._task is not None or self._is_congested():
            return
        outcome = self._sync.read_now(self._request, self._after)
        if isinstance(outcome, bytes):
            self._sent(outcome, self._sync.feed.position)
        elif outcome is Outcome.STORED:
            self._read_stored()
        else:
            self._after = max(self._after, self._sync.feed.position)

    def _sent(self, body: bytes, position: int, queue_since: int | None = None) -> None:
        self._send(body)
        self._after = position
        self._request = msgspec.structs.replace(
            self._request, since=position, full_state=False, queue_since=queue_since
        )
        self._request.device.arrived(position)

    def _read_stored(self) -> None:
        self._task = asyncio.ensure_future(self._send_stored())
        self._task.add_done_callback(self._stored_done)

    async def _send_stored(self) -> None:
        request = self._request
        if request.since is not None and not request.full_state:
            request = msgspec.structs.replace(request, since=self._after)
        update = await self._sync.read_stored(request)
        position, queue_since = parse_sync_token(update.next_batch)
        if update.has_news or self._request.since is None:
            self._sent(sync.assemble(update), position, queue_since)
        else:
            self._after = max(self._after, position)
            self._request = msgspec.structs.replace(self._request, queue_since=None)

    def _stored_done(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, MatrixError):
            self._fail(error)
        elif error is not None:
            self._fail(ServerFault("Internal server error"))
            raise error
        elif self._is_open:
            self.wake()
