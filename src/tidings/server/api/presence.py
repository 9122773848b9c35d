"""GET and PUT presence. Source: client-server API, "Presence"."""

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.ids import UserId
from tidings.server.api.own import check_own
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.presence import PresenceTracker, State

STATUS_CHARACTERS_MAX = 1_000
"""Ours: everybody who shares a room is sent it."""


class _Status(msgspec.Struct):
    presence: State
    status_msg: str | None = None


def routes(tracker: PresenceTracker) -> list[Route]:
    """Who is there."""

    async def set_presence(request: Request) -> Response:
        user_id, body = check_own(request), request.json(_Status)
        tracker.set(user_id, body.presence, _checked(body.status_msg))
        return EMPTY

    async def get_presence(request: Request) -> Response:
        user_id = UserId(request.params["user_id"])
        return json_response(await tracker.get(request.requester.user_id, user_id))

    path = f"{V3}/presence/{{user_id}}/status"
    return [Route("PUT", path, set_presence), Route("GET", path, get_presence)]


def _checked(status_msg: str | None) -> str | None:
    if status_msg is None:
        return None
    if len(status_msg) > STATUS_CHARACTERS_MAX or "\0" in status_msg:
        raise InvalidParam(f"status_msg must be text of at most {STATUS_CHARACTERS_MAX} characters")
    return status_msg
