"""Rooms shown before one is in them: GET /room_summary and GET /hierarchy."""

from tidings.protocol.ids import RoomId
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import Route
from tidings.server.services.directory import Directory
from tidings.server.services.room_previews import RoomPreviews, TreePage

V1 = "/_matrix/client/v1"
LIMIT_DEFAULT = 50
LIMIT_MAX = 100
DEPTH_MAX = 100


def routes(previews: RoomPreviews, directory: Directory) -> list[Route]:
    """Summaries, and the trees of spaces."""

    async def summary(request: Request) -> Response:
        room_id = await directory.resolve(request.params["room"])
        who = request.maybe_requester
        return json_response(await previews.summarise(who.user_id if who else None, room_id))

    async def hierarchy(request: Request) -> Response:
        page = TreePage(
            RoomId(request.params["room_id"]),
            request.query_int("limit", LIMIT_DEFAULT, least=1, most=LIMIT_MAX),
            request.query_int("max_depth", DEPTH_MAX, most=DEPTH_MAX),
            request.query_bool("suggested_only"),
            request.query.get("from"),
        )
        return json_response(await previews.tree(request.requester.user_id, page))

    unstable = "/_matrix/client/unstable/im.nheko.summary"  # COMPAT(clients from before v1.15)
    return [
        Route("GET", f"{V1}/room_summary/{{room}}", summary, auth="maybe"),
        Route("GET", f"{unstable}/summary/{{room}}", summary, auth="maybe"),
        Route("GET", f"{unstable}/rooms/{{room}}/summary", summary, auth="maybe"),
        Route("GET", f"{V1}/rooms/{{room_id}}/hierarchy", hierarchy, auth="guest"),
    ]
