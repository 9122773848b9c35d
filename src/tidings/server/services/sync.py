"""Waiting for news: subscribe, then read, then wait.

`answer` serves a long poll; `read_now` is the step that the WebSocket repeats.
"""

import asyncio
from collections.abc import Callable

from tidings.protocol.errors import InvalidParam
from tidings.protocol.tokens import format_token
from tidings.rules import sync
from tidings.server.live.feed import Feed, Waiter
from tidings.server.live.users import Users
from tidings.server.services.sync_recent import Outcome, RecentSync
from tidings.server.services.sync_request import Devices, SyncRequest
from tidings.server.services.sync_stored import StoredSync
from tidings.server.storage.database import Database


class Sync:
    """Answers /sync, out of memory where it can."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        feed: Feed,
        users: Users,
        devices: Devices,
        recent: RecentSync,
        stored: StoredSync,
    ) -> None:
        self._db = db
        self._feed = feed
        self._users = users
        self._devices = devices
        self._recent = recent
        self._stored = stored

    async def answer(
        self, request: SyncRequest, on_lost: Callable[[Callable[[], None]], None]
    ) -> bytes:
        """The body of the answer, at the latest when the request's time is over.

        `on_lost` takes a function to call when the client goes away.
        """
        waiter = Waiter()
        self._feed.subscribe(request.user_id, waiter)
        try:
            return await self._answer(request, waiter, on_lost)
        finally:
            self._feed.unsubscribe(request.user_id, waiter)

    async def _answer(
        self,
        request: SyncRequest,
        waiter: Waiter,
        on_lost: Callable[[Callable[[], None]], None],
    ) -> bytes:
        deadline = asyncio.get_running_loop().time() + request.timeout_ms / 1000
        after = await self.begin(request)
        is_watched = False
        while True:
            body = await self.read_after(request, after)
            if body is not None:
                return body
            after = max(after, self._feed.position)
            if not is_watched:
                on_lost(waiter.give_up)
                is_watched = True
            if not await waiter.wait(deadline):
                self._devices.quiet(request, after)
                return sync.assemble(sync.Update(format_token(request.since or 0)))

    async def begin(self, request: SyncRequest) -> int:
        """Start to serve a request: where to look for its news; raises InvalidParam."""
        if request.since is not None and request.since > self._feed.position:
            await self._db.catch_up()  # another process may have handed the token out
            if request.since > self._feed.position:
                raise InvalidParam("since is a token this server has not handed out")
        self._devices.begin(request)
        if self._users.held(request.user_id) is None:
            async with self._db.read() as tx:
                await self._users.load(tx, request.user_id)
        return self._devices.scan_from(request)

    async def read_after(self, request: SyncRequest, after: int) -> bytes | None:
        """What is new after a position, if anything is."""
        if request.since is None or request.full_state:
            return sync.assemble(await self._stored.read(request))
        outcome = self.read_now(request, after)
        if outcome is Outcome.STORED:
            update = await self._stored.read(request)
            return sync.assemble(update) if update.has_news else None
        return outcome if isinstance(outcome, bytes) else None

    async def read_stored(self, request: SyncRequest) -> sync.Update:
        """What the database holds that is new, or all of it."""
        return await self._stored.read(request)

    def received(self, request: SyncRequest) -> None:
        """A stream has written everything up to the request's token to its reader."""
        self._devices.begin(request)

    def read_now(self, request: SyncRequest, after: int) -> bytes | Outcome:
        """What is new after a position as far as memory knows, without waiting for anything."""
        view = self._users.held(request.user_id)
        if view is None or after < self._feed.floor:
            return Outcome.STORED
        return self._recent.read(view, request, after)

    @property
    def position(self) -> int:
        """Everything up to here is shown."""
        return self._feed.position
