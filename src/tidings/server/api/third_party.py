"""Third-party networks: what application services bridge to. None is bridged yet.

Source: client-server API, "Third-party Networks".
"""

from tidings.protocol.errors import NotFound
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route


def routes() -> list[Route]:
    """Looking networks, rooms and people up."""
    base = f"{V3}/thirdparty"
    return [
        Route("GET", f"{base}/protocols", protocols),
        Route("GET", f"{base}/protocol/{{protocol}}", protocol),
        *(
            Route("GET", f"{base}/{kind}{tail}", nothing)
            for kind in ("location", "user")
            for tail in ("", "/{protocol}")
        ),
    ]


async def protocols(_: Request) -> Response:
    """GET /thirdparty/protocols."""
    return json_response({})


async def protocol(_: Request) -> Response:
    """GET /thirdparty/protocol/{protocol}."""
    raise NotFound("There is no such protocol here")


async def nothing(_: Request) -> Response:
    """What is found on networks that are not bridged."""
    return json_response([])
