"""The composition root: builds every object once, by name, visibly."""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from secrets import token_hex

from tidings.server.config import Config
from tidings.server.http.app import HttpApp
from tidings.server.http.limits import RateLimiter
from tidings.server.http.routing import Route, Router
from tidings.server.live.feed import Feed
from tidings.server.live.presence import Presence
from tidings.server.live.present import Present
from tidings.server.live.rooms import Rooms
from tidings.server.live.typing import Typing
from tidings.server.live.users import Users
from tidings.server.services.signing import ServerSigner, new_private_key
from tidings.server.services.timeline import Timeline
from tidings.server.storage.changes import ChangeReader
from tidings.server.storage.database import Database, Driver
from tidings.server.storage.events import EventStore
from tidings.server.storage.migrate import ensure_newest
from tidings.server.storage.people import PeopleStore
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.rooms import RoomStore
from tidings.server.storage.server_keys import load_signing_key
from tidings.server.storage.sqlite import SqliteDriver


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Server:
    """A homeserver that can be started and closed; `asgi` answers requests."""

    def __init__(self, config: Config, clock_ms: Callable[[], int] = now_ms) -> None:
        self.config = config
        self._now_ms = clock_ms
        self._stack = AsyncExitStack()
        self.db = Database(_driver_of(config))

    async def start(self) -> None:
        """Migrate, connect, read what must be in memory, start the workers."""
        if not self.config.database:
            Path(self.config.data_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
        await ensure_newest(self.config.database_url)
        self._build_stores()
        await self.db.open()
        self._stack.push_async_callback(self.db.close)
        key_id, private_key = await load_signing_key(
            self.db, (f"ed25519:{token_hex(3)}", new_private_key()), self._now_ms()
        )
        signer = ServerSigner(self.config.server_name, key_id, private_key)
        self.asgi = self._build_services(signer)

    async def close(self) -> None:
        """Stop the workers, commit what waits, disconnect."""
        await self._stack.aclose()

    def _build_stores(self) -> None:
        self.events, self.room_store, self.people = EventStore(), RoomStore(), PeopleStore()
        self.feed = Feed()
        self.rooms = Rooms(self.room_store, self.events, self.feed)
        self.users = Users(self.people, self.room_store, self.rooms, self.feed)
        self.presence = Presence(self.rooms, self.config.presence.room_members_max)
        self.typing = Typing()
        self.sessions = Sessions(self.db, self.accounts, self._now_ms)
        self.present = Present(
            self.people, self.feed, self.rooms, self.users, self.typing, self.presence,
            self.sessions,
        )  # fmt: skip
        self.db.publish = self.present.publish
        self.db.read_changes = ChangeReader(self.events, self.room_store, self.people).read
        self.db.reset = self.present.reset

    def _build_services(self, signer: ServerSigner) -> HttpApp:
        config = self.config
        timeline = Timeline(
            self.db, self.events, self.room_store, self.people, self.rooms, self.users, signer,
            self._now_ms,
        )  # fmt: skip
        limiter = RateLimiter(config.rate_limits)
        routes: list[Route] = []
        app = HttpApp(Router(routes), self.sessions, limiter, config.limits.request_bytes_max)
        app.log_requests = config.log_requests
        return app


def _driver_of(config: Config) -> Driver:
    url = config.database_url
    if url.startswith("sqlite:///"):
        return SqliteDriver(Path(url.removeprefix("sqlite:///")))
    return PostgresDriver(url)


async def build(config: Config, clock_ms: Callable[[], int] = now_ms) -> Server:
    """A server ready to answer; the caller closes it."""
    server = Server(config, clock_ms)
    await server.start()
    return server
