"""GET /sync. Source: client-server API, "Syncing"."""

from collections.abc import Callable
from typing import Protocol

from tidings.protocol.errors import InvalidParam, MatrixError
from tidings.protocol.filters import Filter
from tidings.protocol.ids import UserId
from tidings.protocol.tokens import parse_sync_token
from tidings.server.config import Limits
from tidings.server.http.app import error_response_of, response_head, token_of
from tidings.server.http.connection import DirectHandler
from tidings.server.http.limits import RateLimiter
from tidings.server.http.request import Headers, Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.live.sessions import Requester, Sessions
from tidings.server.services.sync import Poll, Sync
from tidings.server.services.sync_request import Devices, SyncRequest

PATH = f"{V3}/sync"
JSON = b"application/json"
JSON_HEAD = response_head(200, JSON)
PRESENCE_STATES = ("online", "unavailable", "offline")
NO_FILTER = Filter()


class FilterResolver(Protocol):
    """Finds the filter a client names or spells out."""

    async def resolve(self, user_id: UserId, text: str) -> Filter:
        """The filter; raises NotFound or BadJson."""

    def held(self, user_id: UserId, text: str) -> Filter | None:
        """The filter, if it is in memory."""


class PresenceKeeper(Protocol):
    """Is told that a user's client is there."""

    def seen(self, user_id: UserId, state: str, wait_ms: int = 0) -> None:
        """A request has come that counts as a sign of life."""


class SyncReader:
    """Reads a sync's parameters from a request, for /sync and for the WebSocket alike."""

    def __init__(
        self,
        filters: FilterResolver,
        presence: PresenceKeeper,
        devices: Devices,
        limits: Limits,
    ) -> None:
        self._filters = filters
        self._devices = devices
        self._presence = presence
        self._limits = limits

    async def read(self, request: Request, requester: Requester) -> SyncRequest:
        """The request's parameters; raises InvalidParam. Counts as a sign of life."""
        text = request.query.get("filter")
        chosen = await self._filters.resolve(requester.user_id, text) if text else NO_FILTER
        return self._read(request, requester, chosen)

    def read_now(self, request: Request, requester: Requester) -> SyncRequest | None:
        """The same without waiting; None where the filter is not in memory."""
        text = request.query.get("filter")
        chosen = self._filters.held(requester.user_id, text) if text else NO_FILTER
        return None if chosen is None else self._read(request, requester, chosen)

    def note_presence(self, request: Request, user_id: UserId, wait_ms: int = 0) -> None:
        """Count a sign of life, as what the client says it is; raises InvalidParam."""
        presence = request.query.get("set_presence", "online")
        if presence not in PRESENCE_STATES:
            raise InvalidParam("set_presence must be online, unavailable or offline")
        self._presence.seen(user_id, presence, wait_ms)

    def _read(self, request: Request, requester: Requester, chosen: Filter) -> SyncRequest:
        query = request.query
        text = query.get("since")
        since, queue_since = parse_sync_token(text) if text else (None, None)
        timeout_ms = request.query_int("timeout", 0, most=self._limits.sync_timeout_ms_max)
        self.note_presence(request, requester.user_id, timeout_ms)
        return SyncRequest(
            user_id=requester.user_id,
            device_id=requester.device_id,
            device=self._devices.of(requester.user_id, requester.device_id),
            filter=chosen,
            since=since,
            queue_since=queue_since,
            timeout_ms=timeout_ms,
            full_state="full_state" in query and request.query_bool("full_state"),
            state_after="use_state_after" in query and request.query_bool("use_state_after"),
        )


class DirectSync:
    """A long poll answered without a task: see http/connection."""

    __slots__ = ("_poll", "_request", "_respond", "_sync")

    def __init__(self, sync: Sync, request: SyncRequest) -> None:
        self._sync = sync
        self._request = request

    def start(self, respond: Callable[[bytes, bytes], None]) -> None:
        """Begin to wait for news."""
        self._respond = respond
        self._poll = Poll(self._sync, self._request, self._answer, self._fail)
        self._poll.start()

    def expire(self) -> None:
        """Answer now: the server stops."""
        self._poll.expire()

    def cancel(self) -> None:
        """The client has gone away."""
        self._poll.cancel()

    def _answer(self, body: bytes) -> None:
        self._respond(JSON_HEAD, body)

    def _fail(self, error: BaseException) -> None:
        response = error_response_of(error, "GET /sync")
        self._respond(response_head(response.status, JSON), response.body)


def direct(
    sync: Sync, reader: SyncReader, sessions: Sessions, limiter: RateLimiter
) -> DirectHandler:
    """Answers GET /sync without the application where all it needs is in memory.

    Anything else (a new token, an unknown filter, a refusal) goes the usual way.
    """

    def answer(url: bytes, headers: Headers, address: str) -> DirectSync | None:
        request = Request("GET", PATH, url.partition(b"?")[2], headers)
        request.address = address
        try:
            token = token_of(request)
            requester = sessions.held(token, address) if token else None
            if requester is None:
                return None
            request.requester = requester
            limiter.check("request", request)
            wanted = reader.read_now(request, requester)
        except MatrixError:
            return None
        if wanted is None or wanted.since is None or not sync.is_ready(wanted):
            return None
        return DirectSync(sync, wanted)

    return answer


def routes(sync: Sync, reader: SyncReader) -> list[Route]:
    """The endpoint."""

    async def get_sync(request: Request) -> Response:
        wanted = await reader.read(request, request.requester)
        return Response(await sync.answer(wanted, request.lost.add))

    return [Route("GET", PATH, get_sync, auth="guest")]
