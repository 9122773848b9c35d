"""Relations between events, and threads."""

from collections.abc import Callable

from tidings.protocol.errors import InvalidParam
from tidings.protocol.ids import EventId, RoomId
from tidings.protocol.tokens import parse_token
from tidings.rules.paging import END
from tidings.server.api.rooms_history import V1, bounds, is_backwards
from tidings.server.api.rooms_state import view_of
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import Route
from tidings.server.services.related import Related
from tidings.server.storage.relations import RelationsPage, ThreadsPage

LIMIT_DEFAULT = 20
LIMIT_MAX = 200


def routes(related: Related, now_ms: Callable[[], int]) -> list[Route]:
    """What relates to what."""

    async def relations(request: Request) -> Response:
        params = request.params
        backwards = is_backwards(request, "b")
        after, before = bounds(request, backwards=backwards)
        page = RelationsPage(
            room_id=RoomId(params["room_id"]),
            event_id=EventId(params["event_id"]),
            rel_type=params.get("rel_type"),
            type=params.get("type"),
            after=after,
            before=before,
            backwards=backwards,
            recurse=request.query_bool("recurse"),
            limit=request.query_int("limit", LIMIT_DEFAULT, most=LIMIT_MAX),
        )
        return Response(await related.children(view_of(request, now_ms()), page))

    async def threads(request: Request) -> Response:
        include, start = request.query.get("include", "all"), request.query.get("from")
        if include not in ("all", "participated"):
            raise InvalidParam("include must be all or participated")
        page = ThreadsPage(
            RoomId(request.params["room_id"]),
            parse_token(start) + 1 if start else END,
            request.query_int("limit", LIMIT_DEFAULT, least=1, most=LIMIT_MAX),
            request.requester.user_id if include == "participated" else None,
        )
        return Response(await related.threads(view_of(request, now_ms()), page))

    room = f"{V1}/rooms/{{room_id}}"
    parent = f"{room}/relations/{{event_id}}"
    return [
        Route("GET", parent, relations),
        Route("GET", f"{parent}/{{rel_type}}", relations),
        Route("GET", f"{parent}/{{rel_type}}/{{type}}", relations),
        Route("GET", f"{room}/threads", threads),
    ]
