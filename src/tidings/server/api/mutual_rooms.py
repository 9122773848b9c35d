"""Rooms shared with somebody."""

from tidings.protocol.ids import parse_user_id
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import Route
from tidings.server.services.mutual_rooms import MutualRooms


def routes(mutual: MutualRooms) -> list[Route]:
    """GET /mutual_rooms."""

    async def get(request: Request) -> Response:
        other = parse_user_id(request.query_needed("user_id"))
        start = request.query.get("from", "")
        return json_response(await mutual.of(request.requester.user_id, other, start))

    return [Route("GET", "/_matrix/client/v1/mutual_rooms", get)]
