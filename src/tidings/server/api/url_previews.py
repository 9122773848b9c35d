"""GET /preview_url. Source: client-server API, "Content repository"."""

from tidings.protocol.errors import NotFound
from tidings.server.api.media import V1
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import Route
from tidings.server.services.url_previews import UrlPreviews


def routes(previews: UrlPreviews, *, is_enabled: bool) -> list[Route]:
    """The endpoint of previews; where they are switched off, it finds nothing."""

    async def preview_url(request: Request) -> Response:
        url = request.query_needed("url")
        request.query_int("ts", 0)  # the newest preview is the only one there is
        if not is_enabled:
            raise NotFound("This server does not preview pages")
        return Response(await previews.get(url))

    return [Route("GET", f"{V1}/preview_url", preview_url, limit="media")]
