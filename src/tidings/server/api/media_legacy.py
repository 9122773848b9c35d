"""The endpoints that authenticated media replaced.

The specification froze unauthenticated downloads with v1.12: what was uploaded later is "only
accessible through the new, authenticated, endpoints". All media of this server is later, so
these say 404 to everything. Uploads have not moved; the rest answers as its successors do.
Source: client-server API, "Content repository".
"""

from tidings.protocol.errors import NotFound
from tidings.server.api.media import V1
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import Route

V3 = "/_matrix/media/v3"
_SUCCEEDED = ("config", "preview_url")


def routes(current: list[Route]) -> list[Route]:
    """The old paths of endpoints that are routed already."""
    one = "/{server_name}/{media_id}"
    frozen = (f"download{one}", f"download{one}/{{file_name}}", f"thumbnail{one}")
    return [
        *(Route("GET", f"{V3}/{path}", not_found, auth="none") for path in frozen),
        *(
            Route("GET", f"{V3}/{name}", route.endpoint, route.auth, route.limit)
            for route in current
            for name in _SUCCEEDED
            if route.path == f"{V1}/{name}"
        ),
    ]


async def not_found(_: Request) -> Response:
    """GET /download and /thumbnail without a token."""
    raise NotFound("Media is given to those who are signed in only: use /_matrix/client/v1/media")
