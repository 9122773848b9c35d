"""Voice over IP: where calls find a way through firewalls."""

from collections.abc import Callable

from tidings.server.config import Turn
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.turn import issue_credentials


def routes(turn: Turn, now_ms: Callable[[], int]) -> list[Route]:
    """The TURN server."""

    async def turn_server(request: Request) -> Response:
        return json_response(issue_credentials(turn, request.requester.user_id, now_ms()))

    return [Route("GET", f"{V3}/voip/turnServer", turn_server)]
