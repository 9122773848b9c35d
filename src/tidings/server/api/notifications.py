"""What one was notified of. Source: client-server API, "Listing Notifications"."""

from collections.abc import Callable

from tidings.rules.paging import END
from tidings.rules.presentation import View
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.notifications import Notifications, Wanted

LIMIT_DEFAULT = 20
LIMIT_MAX = 100


def routes(notifications: Notifications, now_ms: Callable[[], int]) -> list[Route]:
    """The endpoint of notifications."""

    async def list_notifications(request: Request) -> Response:
        requester = request.requester
        view = View(requester.user_id, requester.device_id, now_ms(), room_id=False)
        wanted = Wanted(
            before=request.query_int("from", END, least=1, most=END),
            limit=request.query_int("limit", LIMIT_DEFAULT, least=1, most=LIMIT_MAX),
            only_highlights=request.query.get("only") == "highlight",
        )
        return json_response(await notifications.page(view, wanted))

    return [Route("GET", f"{V3}/notifications", list_notifications)]
