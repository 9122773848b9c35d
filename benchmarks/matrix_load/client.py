"""The parts of the client-server API the scenarios use."""

import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from .accounting import ProcessTree, Window
from .http_client import LOST, Connection, Counters, Pool, Target
from .ledger import RoomLedger, View
from .websocket_client import WebSocket

V3 = "/_matrix/client/v3"
STREAM = "/_matrix/client/unstable/chat.tidings/sync"
CONNECT_TRIES = 10
T = TypeVar("T")


class ApiError(Exception):
    def __init__(self, what: str, status: int, data: Any) -> None:
        super().__init__(f"{what}: HTTP {status} {data!r:.300}")
        self.status = status
        self.data = data if isinstance(data, dict) else {}


@dataclass(slots=True)
class User:
    user_id: str
    token: str
    name: str
    password: str
    device_id: str = ""
    since: str = ""


@dataclass(slots=True)
class Reply:
    status: int
    data: Any
    done_at: float
    size: int


class Homeserver:
    """One server under test, and what this run knows about it."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.counters = Counters()
        self.target = Target(options.base_url)
        self.pool = Pool(self.target, self.counters)
        self.tree = ProcessTree(options.server_pid) if options.server_pid else None
        self._state_path = Path(options.state) if options.state else None
        self.state: dict[str, dict] = {"users": {}, "rooms": {}}
        if self._state_path and self._state_path.exists():
            self.state = json.loads(self._state_path.read_text())

    def save(self) -> None:
        if self._state_path:
            self._state_path.write_text(json.dumps(self.state))

    def window(self) -> Window:
        return Window(self.tree).start()

    async def call(
        self,
        user: User | None,
        method: str,
        path: str,
        body: dict | bytes | None = None,
        *,
        content_type: str = "application/json",
        accept: tuple[int, ...] = (200,),
        raw: bool = False,
    ) -> Reply:
        """One request; waits out rate limits (counted) and raises on anything unexpected."""
        data = orjson.dumps(body) if isinstance(body, dict) else body
        request = self.target.request(
            method, path, user.token if user else None, data, content_type
        )
        while True:
            status, answer, done_at = await self.pool.request(request)
            if status == 429:
                self.counters.rate_limited += 1
                try:
                    wait = orjson.loads(answer).get("retry_after_ms", 500) / 1000
                except orjson.JSONDecodeError:
                    wait = 0.5
                await asyncio.sleep(min(wait, 30))
                continue
            parsed: Any = answer
            if not raw or status not in accept:
                try:
                    parsed = orjson.loads(answer)
                except orjson.JSONDecodeError:
                    parsed = answer
            if status not in accept:
                raise ApiError(f"{method} {path[:120]}", status, parsed)
            return Reply(status, parsed, done_at, len(answer))

    # accounts

    async def register(self, name: str) -> User:
        """A new account, or the existing one of that name when it is left from an earlier run."""
        password = f"pw-{name}"
        if self.options.registration_shared_secret:
            path = "/_synapse/admin/v1/register"
            nonce = (await self.call(None, "GET", path)).data["nonce"]
            text = f"{nonce}\x00{name}\x00{password}\x00notadmin".encode()
            secret = self.options.registration_shared_secret.encode()
            body: dict[str, Any] = {
                "nonce": nonce,
                "username": name,
                "password": password,
                "admin": False,
                "mac": hmac.new(secret, text, hashlib.sha1).hexdigest(),
            }
        else:
            path = f"{V3}/register"
            body = {"username": name, "password": password, "auth": {"type": "m.login.dummy"}}
        try:
            reply = await self.call(None, "POST", path, body, accept=(200, 401))
            if reply.status == 401:  # the server wants its session named, or more stages
                body["auth"] = {"type": "m.login.dummy", "session": reply.data["session"]}
                token = self.options.registration_token
                if token:
                    body["auth"] |= {"type": "m.login.registration_token", "token": token}
                    reply = await self.call(None, "POST", path, body, accept=(200, 401))
                    body["auth"] = {"type": "m.login.dummy", "session": body["auth"]["session"]}
                if reply.status == 401:
                    reply = await self.call(None, "POST", path, body)
        except ApiError as error:
            if error.data.get("errcode") != "M_USER_IN_USE":
                raise
            return await self.login(name, password)
        return _user(reply.data, name, password)

    async def login(self, name: str, password: str) -> User:
        body = {
            "type": "m.login.password",
            "password": password,
            "identifier": {"type": "m.id.user", "user": name},
        }
        return _user((await self.call(None, "POST", f"{V3}/login", body)).data, name, password)

    async def users(self, prefix: str, count: int) -> list[User]:
        """`count` accounts named after the prefix, reused where the state file has them."""
        known = self.state["users"]
        names = [f"{prefix}-{index}" for index in range(count)]

        async def one(name: str) -> User:
            if name not in known:
                user = await self.register(name)
                known[name] = {"user_id": user.user_id, "token": user.token}
            password = f"pw-{name}"
            return User(known[name]["user_id"], known[name]["token"], name, password)

        users = await limited(8, (one(name) for name in names))
        self.save()
        return users

    # rooms

    async def create_room(self, creator: User, **content: Any) -> str:
        body = {"preset": "public_chat"} | content
        return (await self.call(creator, "POST", f"{V3}/createRoom", body)).data["room_id"]

    async def join(self, user: User, room_id: str) -> None:
        await self.call(user, "POST", f"{V3}/join/{quote(room_id)}")

    async def room(self, key: str, members: list[User]) -> str:
        """A room with these members, reused where the state file has it."""
        known = self.state["rooms"].setdefault(key, {})
        if "id" not in known:
            known["id"] = await self.create_room(members[0])
            known["joined"] = [members[0].name]
        present = set(known["joined"])

        async def one(user: User) -> None:
            await self.join(user, known["id"])
            known["joined"].append(user.name)

        await limited(4, (one(user) for user in members if user.name not in present))
        self.save()
        return known["id"]

    # messages

    async def send(
        self, user: User, room_id: str, txn: str, content: dict, kind: str = "m.room.message"
    ) -> Reply:
        path = f"{V3}/rooms/{quote(room_id)}/send/{kind}/{quote(txn)}"
        return await self.call(user, "PUT", path, content)

    async def send_numbered(self, user: User, ledger: RoomLedger, run: str) -> float | None:
        """Send the user's next message of this run; its latency, or None when it was not accepted."""
        key, text = ledger.next_message(user.user_id)
        path = f"{V3}/rooms/{quote(ledger.room_id)}/send/m.room.message/{run}-{key[1]}"
        request = self.target.request(
            "PUT", path, user.token, orjson.dumps({"msgtype": "m.text", "body": text})
        )
        ledger.sending(key)
        for _ in range(3):  # the transaction id makes it safe to try again
            status, answer, done_at = await self.pool.request(request)
            if status == 200:
                ledger.was_accepted(key, orjson.loads(answer)["event_id"])
                return done_at - ledger.started[key]
            if status == 429:
                self.counters.rate_limited += 1
            await asyncio.sleep(0.5)
        return None

    async def messages(self, user: User, room_id: str, **query: Any) -> dict:
        pairs = "&".join(f"{k}={quote(str(v))}" for k, v in query.items() if v is not None)
        path = f"{V3}/rooms/{quote(room_id)}/messages?{pairs}"
        return (await self.call(user, "GET", path)).data

    async def sync(self, user: User, timeout: int = 0, **room_filter: Any) -> Reply:
        """One /sync from where the user is; advances the user's position."""
        path = f"{V3}/sync?timeout={timeout}&filter={sync_filter(**room_filter)}"
        if user.since:
            path += f"&since={quote(user.since)}"
        reply = await self.call(user, "GET", path)
        user.since = reply.data["next_batch"]
        return reply

    async def catch_up(self, users: list[User]) -> None:
        """Give every user a position at the present moment, as cheaply as the API allows."""

        async def one(user: User) -> None:
            user.since = ""
            await self.sync(user, timeline_limit=1)
            # A server may answer a repeated first sync from a cache minutes old.
            for _ in range(20):
                reply = await self.sync(user, timeline_limit=self.options.timeline_limit)
                if not reply.data.get("rooms", {}).get("join"):
                    break

        await limited(4, (one(user) for user in users))

    async def fill_gap(
        self, user: User, ledger: RoomLedger, view: View, room: dict, since: str, not_before: float
    ) -> list[dict]:
        """The events a limited timeline left out, oldest first."""
        missing: list[dict] = []
        token: str | None = room["timeline"]["prev_batch"]
        while token:
            page = await self.messages(
                user, ledger.room_id, dir="b", limit=100, **{"from": token, "to": since}
            )
            chunk = page["chunk"]
            new = [event for event in chunk if not ledger.knows(view, event)]
            missing.extend(new)
            if len(new) < len(chunk) or not chunk:
                break
            if chunk[-1].get("origin_server_ts", 0) < not_before * 1000:
                break
            token = page.get("end")
        missing.reverse()
        return missing


class Receivers:
    """Members that follow the server, by long poll or WebSocket, and enter what they see.

    No task and no future for an answer: it is handled in the connection's callback.
    """

    def __init__(
        self, server: Homeserver, ledgers: Iterable[RoomLedger], timeout_ms: int = 30000
    ) -> None:
        self.server = server
        self.ledgers = {ledger.room_id: ledger for ledger in ledgers}
        self.timeout_ms = timeout_ms
        self.polls = self.empty_polls = self.gaps = self.failures = self.reconnects = 0
        self.stopped = False
        self.started_at = time.time()
        self._tasks: set[asyncio.Task] = set()
        self.connections: list[Connection | WebSocket] = []

    async def start(self, users: list[User]) -> None:
        kind = _Listener if self.server.options.transport == "websocket" else _Poller
        await limited(32, (kind(self, user).start() for user in users))

    def stop(self) -> None:
        self.stopped = True
        for connection in self.connections:
            connection.close()

    async def drain(self, patience: float = 60.0) -> None:
        """Wait until all is received, or until nothing has come for `patience` seconds."""
        ledgers = list(self.ledgers.values())
        last, last_change = -1, time.monotonic()
        while not all(ledger.complete() for ledger in ledgers):
            received = sum(ledger.received for ledger in ledgers)
            if received != last:
                last, last_change = received, time.monotonic()
            elif time.monotonic() - last_change > patience:
                return
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)  # a moment for duplicates to show themselves

    def in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Receiver:
    """One member: reads sync answers, fills the gaps of limited timelines, goes on."""

    __slots__ = ("all", "user", "views")

    def __init__(self, receivers: Receivers, user: User) -> None:
        self.all = receivers
        self.user = user
        self.views = {
            room_id: ledger.views[user.user_id]
            for room_id, ledger in receivers.ledgers.items()
            if user.user_id in ledger.views
        }

    def go_on(self) -> None:
        """What to do after an answer that took a while to read."""
        raise NotImplementedError

    def read(self, body: bytes, now: float) -> bool:
        """Enter one answer; False when a gap is filled first, after which `go_on` is called."""
        everyone = self.all
        everyone.polls += 1
        data = orjson.loads(body)
        since, self.user.since = self.user.since, data["next_batch"]
        rooms = data.get("rooms")
        joined = rooms.get("join") if rooms else None
        if not joined:
            everyone.empty_polls += 1
            return True
        for room_id, room in joined.items():
            ledger = everyone.ledgers.get(room_id)
            if ledger is None or "timeline" not in room:
                continue
            if room["timeline"].get("limited"):
                everyone.gaps += 1
                everyone.in_background(self._with_gap(joined, since))
                return False
        self._enter(joined, now)
        return True

    def _enter(self, joined: dict, now: float) -> None:
        ledgers, views = self.all.ledgers, self.views
        for room_id, room in joined.items():
            ledger = ledgers.get(room_id)
            if ledger is None or "timeline" not in room:
                continue
            view = views[room_id]
            for event in room["timeline"]["events"]:
                if event["type"] == "m.room.message":
                    ledger.observe(view, event, now)

    async def _with_gap(self, joined: dict, since: str) -> None:
        try:
            for room_id, room in joined.items():
                ledger = self.all.ledgers.get(room_id)
                if ledger is None or not room.get("timeline", {}).get("limited"):
                    continue
                view = self.views[room_id]
                for event in await self.all.server.fill_gap(
                    self.user, ledger, view, room, since, self.all.started_at - 60
                ):
                    if event["type"] == "m.room.message":
                        ledger.observe(view, event, time.perf_counter())
            self._enter(joined, time.perf_counter())
        except (ApiError, KeyError) as error:
            self.all.failures += 1
            print(f"gap not filled: {error}", file=sys.stderr)
        self.go_on()


class _Poller(_Receiver):
    """Holds a long poll; the next one goes out on the same connection when one is answered."""

    __slots__ = ("after", "before", "connection")

    def __init__(self, receivers: Receivers, user: User) -> None:
        super().__init__(receivers, user)
        options = receivers.server.options
        before, after = receivers.server.target.head("GET", user.token)
        chosen = sync_filter(timeline_limit=options.timeline_limit)
        presence = f"&set_presence={options.set_presence}" if options.set_presence else ""
        self.before = (
            f"{before}{V3}/sync?timeout={receivers.timeout_ms}&filter={chosen}{presence}&since="
        )
        self.after = f"{after}\r\n"

    async def start(self) -> None:
        while not self.all.stopped:
            try:
                self.connection = await Connection(
                    self.all.server.target, self.all.server.counters
                ).open()
                self.all.connections.append(self.connection)
                break
            except OSError:
                await asyncio.sleep(0.2)
        self.go_on()

    def go_on(self) -> None:
        if self.all.stopped:
            return
        if not self.connection.usable:
            self.all.reconnects += 1
            self.all.in_background(self.start())
            return
        request = f"{self.before}{quote(self.user.since)}{self.after}".encode()
        self.connection.send(request, self._answered)

    def _answered(self, status: int, body: bytes) -> None:
        now = time.perf_counter()
        if status == 200:
            if self.read(body, now):
                self.go_on()
            return
        if self.all.stopped:
            return
        if status == 429:
            self.all.server.counters.rate_limited += 1
        elif status != LOST:
            self.all.failures += 1
        asyncio.get_running_loop().call_later(0.2, self.go_on)


class _Listener(_Receiver):
    """Holds a WebSocket: every frame is a sync answer; resumes by `since` when cut off."""

    __slots__ = ("filling", "path", "waiting")

    def __init__(self, receivers: Receivers, user: User) -> None:
        super().__init__(receivers, user)
        options = receivers.server.options
        self.path = f"{STREAM}?filter={sync_filter(timeline_limit=options.timeline_limit)}&since="
        self.waiting: list[tuple[bytes, float]] = []
        self.filling = False

    async def start(self) -> None:
        server = self.all.server
        failures = 0
        while not self.all.stopped:
            socket = WebSocket(self._received, self._lost, server.counters)
            path = f"{self.path}{quote(self.user.since)}"
            try:
                await socket.open(server.target, path, self.user.token)
            except OSError as error:
                failures += 1
                if failures == CONNECT_TRIES:
                    self.all.failures += 1
                    raise ConnectionError(f"no WebSocket: {error}") from error
                await asyncio.sleep(0.2)
                continue
            self.all.connections.append(socket)
            return

    def _lost(self) -> None:
        if not self.all.stopped:
            self.all.reconnects += 1
            self.waiting.clear()  # what is not read yet comes again: `since` has not moved
            self.all.in_background(self.start())

    def _received(self, body: bytes) -> None:
        now = time.perf_counter()
        if self.filling:
            self.waiting.append((body, now))
        else:
            self.filling = not self.read(body, now)

    def go_on(self) -> None:
        self.filling = False
        while self.waiting and not self.filling:
            self.filling = not self.read(*self.waiting.pop(0))


def sync_filter(timeline_limit: int = 20, lazy: bool = True) -> str:
    """What ordinary clients ask for: lazily loaded members and a bounded timeline."""
    return quote(
        json.dumps(
            {"room": {"timeline": {"limit": timeline_limit}, "state": {"lazy_load_members": lazy}}},
            separators=(",", ":"),
        )
    )


async def limited(width: int, work: Iterable[Awaitable[T]]) -> list[T]:
    """Run awaitables, at most `width` at once; results in order."""
    gate = asyncio.Semaphore(width)

    async def one(item: Awaitable[T]) -> T:
        async with gate:
            return await item

    return await asyncio.gather(*(one(item) for item in work))


def _user(data: dict, name: str, password: str) -> User:
    return User(data["user_id"], data["access_token"], name, password, data.get("device_id", ""))
