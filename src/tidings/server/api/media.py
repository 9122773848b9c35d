"""Uploads and downloads. Source: client-server API, "Content repository"."""

import re
from functools import partial

from tidings.protocol.errors import NotFound
from tidings.rules.media_types import parse_file_name
from tidings.server.api.stored_content import Shown, content_response
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import Route
from tidings.server.services.media import Media, Upload
from tidings.server.storage.media import MediaRow

V1 = "/_matrix/client/v1/media"
WAIT_MS = 20_000
"""How long a download waits for its upload unless the client says otherwise."""

_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,255}\Z")


def routes(media: Media, server_name: str) -> list[Route]:
    """The endpoints that upload and download."""
    most = media.settings.upload_bytes_max
    able = json_response({"m.upload.size": most})

    async def config(_: Request) -> Response:
        return able

    one = "/{server_name}/{media_id}"
    download = partial(download_media, media, server_name)
    fill = partial(fill_media, media, server_name)
    return [
        Route(
            "POST", "/_matrix/media/v3/upload", partial(upload_media, media, server_name),
            limit="media", body_bytes_max=most, stream_body=True,
        ),
        Route(
            "PUT", f"/_matrix/media/v3/upload{one}", fill,
            limit="media", body_bytes_max=most, stream_body=True,
        ),
        Route(
            "POST", "/_matrix/media/v1/create", partial(create_media, media, server_name),
            limit="media",
        ),
        Route("GET", f"{V1}/config", config, auth="guest"),
        Route("GET", f"{V1}/download{one}", download, auth="guest"),
        Route("GET", f"{V1}/download{one}/{{file_name}}", download, auth="guest"),
    ]  # fmt: skip


async def upload_media(media: Media, server_name: str, request: Request) -> Response:
    """POST /upload."""
    media_id = await media.upload(upload_of(request), request.chunks)
    return json_response({"content_uri": f"mxc://{server_name}/{media_id}"})


async def create_media(media: Media, server_name: str, request: Request) -> Response:
    """POST /create."""
    new = await media.announce(request.requester.user_id)
    uri = f"mxc://{server_name}/{new.media_id}"
    return json_response({"content_uri": uri, "unused_expires_at": new.expires_ts})


async def fill_media(media: Media, server_name: str, request: Request) -> Response:
    """PUT /upload/{serverName}/{mediaId}."""
    media_id = local_media_id(request, server_name)
    await media.fill(media_id, upload_of(request), request.chunks)
    return EMPTY


async def download_media(media: Media, server_name: str, request: Request) -> Response:
    """GET /download/{serverName}/{mediaId}, with or without a name for the file."""
    row = await find_media(media, server_name, request)
    name = request.params.get("file_name")
    file_name = row.file_name if name is None else parse_file_name(name)
    shown = Shown(
        row.sha256 or "", row.stored_name or "", row.size_bytes, row.content_type, file_name
    )
    return await content_response(media, request, shown)


async def find_media(media: Media, server_name: str, request: Request) -> MediaRow:
    """The media that a path names; raises NotFound and NotYetUploaded."""
    media_id = local_media_id(request, server_name)
    timeout_ms = request.query_int("timeout_ms", WAIT_MS, most=media.settings.wait_ms_max)
    return await media.get(media_id, timeout_ms)


def local_media_id(request: Request, server_name: str) -> str:
    """The media id that a path names; raises NotFound for other servers' and for no ids at all."""
    media_id = request.params["media_id"]
    if request.params["server_name"] != server_name or not _MEDIA_ID.match(media_id):
        raise NotFound("There is no such media")
    return media_id


def upload_of(request: Request) -> Upload:
    """What a request says about the bytes it carries."""
    return Upload(
        request.requester.user_id,
        request.header(b"content-type"),
        request.query.get("filename", ""),
        request.declared_bytes,
    )
