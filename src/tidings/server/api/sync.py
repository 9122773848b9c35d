"""GET /sync. Source: client-server API, "Syncing"."""

from typing import Protocol

from tidings.protocol.errors import InvalidParam
from tidings.protocol.filters import Filter
from tidings.protocol.ids import UserId
from tidings.protocol.tokens import parse_token
from tidings.server.config import Limits
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.live.sessions import Requester
from tidings.server.services.sync import Sync
from tidings.server.services.sync_request import SyncRequest

PRESENCE_STATES = ("online", "unavailable", "offline")
NO_FILTER = Filter()


class FilterResolver(Protocol):
    """Finds the filter a client names or spells out."""

    async def resolve(self, user_id: UserId, text: str) -> Filter:
        """The filter; raises NotFound or BadJson."""


class PresenceKeeper(Protocol):
    """Is told that a user's client is there."""

    def seen(self, user_id: UserId, state: str, wait_ms: int = 0) -> None:
        """A request has come that counts as a sign of life."""


class SyncReader:
    """Reads a sync's parameters from a request, for /sync and for the WebSocket alike."""

    def __init__(self, filters: FilterResolver, presence: PresenceKeeper, limits: Limits) -> None:
        self._filters = filters
        self._presence = presence
        self._limits = limits

    async def read(self, request: Request, requester: Requester) -> SyncRequest:
        """The request's parameters; raises InvalidParam. Counts as a sign of life."""
        query = request.query
        text, since = query.get("filter"), query.get("since")
        chosen = await self._filters.resolve(requester.user_id, text) if text else NO_FILTER
        presence = query.get("set_presence", "online")
        if presence not in PRESENCE_STATES:
            raise InvalidParam("set_presence must be online, unavailable or offline")
        timeout_ms = request.query_int("timeout", 0, most=self._limits.sync_timeout_ms_max)
        self._presence.seen(requester.user_id, presence, timeout_ms)
        return SyncRequest(
            user_id=requester.user_id,
            device_id=requester.device_id,
            filter=chosen,
            since=parse_token(since) if since else None,
            timeout_ms=timeout_ms,
            full_state="full_state" in query and request.query_bool("full_state"),
            state_after="use_state_after" in query and request.query_bool("use_state_after"),
        )


def routes(sync: Sync, reader: SyncReader) -> list[Route]:
    """The endpoint."""

    async def get_sync(request: Request) -> Response:
        wanted = await reader.read(request, request.requester)
        return Response(await sync.answer(wanted, request.lost.add))

    return [Route("GET", f"{V3}/sync", get_sync, auth="guest")]
