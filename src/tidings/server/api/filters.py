"""POST and GET filters. Source: client-server API, "Filtering"."""

from tidings.server.api.own import check_own
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.filters import Filters


def routes(filters: Filters) -> list[Route]:
    """Definitions that clients store."""

    async def create_filter(request: Request) -> Response:
        user_id, definition = check_own(request), request.json_object()
        return json_response({"filter_id": await filters.create(user_id, definition)})

    async def get_filter(request: Request) -> Response:
        user_id = check_own(request)
        return Response(await filters.get(user_id, request.params["filter_id"]))

    path = f"{V3}/user/{{user_id}}/filter"
    return [
        Route("POST", path, create_filter),
        Route("GET", f"{path}/{{filter_id}}", get_filter),
    ]
