"""GET /thumbnail. Source: client-server API, "Content repository"."""

from functools import partial

from tidings.protocol.errors import InvalidParam
from tidings.server.api.media import V1, find_media
from tidings.server.api.stored_content import Shown, content_response
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import Route
from tidings.server.services.media import Media
from tidings.server.services.pictures import Wanted
from tidings.server.services.thumbnails import Thumbnails


def routes(media: Media, thumbnails: Thumbnails, server_name: str) -> list[Route]:
    """The endpoint of thumbnails."""
    thumbnail = partial(get_thumbnail, media, thumbnails, server_name)
    path = f"{V1}/thumbnail/{{server_name}}/{{media_id}}"
    return [Route("GET", path, thumbnail, auth="guest")]


async def get_thumbnail(
    media: Media, thumbnails: Thumbnails, server_name: str, request: Request
) -> Response:
    """GET /thumbnail/{serverName}/{mediaId}."""
    wanted = _wanted(request)
    row = await find_media(media, server_name, request)
    made = await thumbnails.get(row, wanted, media.settings.thumbnail_pixels_max)
    name = f"thumbnail.{made.content_type.removeprefix('image/')}"
    shown = Shown(made.sha256, made.stored_name, made.size_bytes, made.content_type, name)
    return await content_response(media, request, shown)


def _wanted(request: Request) -> Wanted:
    request.query_needed("width")
    request.query_needed("height")
    width = request.query_int("width", 1, least=1)
    height = request.query_int("height", 1, least=1)
    is_animated = request.query_bool("animated")
    method = request.query.get("method", "scale")
    if method == "crop":
        return Wanted(width, height, "crop", is_animated)
    if method != "scale":
        raise InvalidParam("method must be crop or scale")
    return Wanted(width, height, "scale", is_animated)
