"""Resumable uploads, an addition to Matrix: tus 1.0.0 with creation, termination, expiration.

docs/reference/resumable-uploads.md is written for those who use it.
Source: https://tus.io/protocols/resumable-upload.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial, wraps

import msgspec

from tidings.protocol.errors import (
    InvalidParam,
    MatrixError,
    MissingParam,
    PreconditionFailed,
    UnsupportedMediaType,
)
from tidings.server.http.app import error_response
from tidings.server.http.request import Headers, Request, Response
from tidings.server.http.routing import Route
from tidings.server.services.media import Upload
from tidings.server.services.resumable_uploads import ResumableUploads
from tidings.server.storage.resumable_uploads import ResumableRow

PATH = "/_matrix/client/unstable/chat.tidings/uploads"
VERSION = "1.0.0"
PART_TYPE = "application/offset+octet-stream"
METADATA_CHARACTERS_MAX = 4_096

_encode = msgspec.json.Encoder().encode


def routes(uploads: ResumableUploads, server_name: str) -> list[Route]:
    """The endpoints of uploads in parts."""
    most = uploads.bytes_max
    one = f"{PATH}/{{upload_id}}"
    able = partial(tell_abilities, most)

    def route(method: str, path: str, endpoint: _Endpoint, *, is_part: bool = False) -> Route:
        checked = _checked(partial(endpoint, uploads, server_name))
        bytes_max = most if is_part else None
        limit = "media" if method == "POST" else "request"
        return Route(
            method, path, checked, limit=limit, body_bytes_max=bytes_max, stream_body=is_part
        )

    return [
        Route("OPTIONS", PATH, able, auth="none"),
        Route("OPTIONS", one, able, auth="none"),
        route("POST", PATH, begin_upload),
        route("GET", one, show_upload),
        route("PATCH", one, append_part, is_part=True),
        route("DELETE", one, drop_upload),
    ]


_Endpoint = Callable[[ResumableUploads, str, Request], Awaitable[Response]]


def _checked(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[
    [Request], Awaitable[Response]
]:  # fmt: skip
    """The endpoint for clients that speak the protocol; every answer says that we do."""

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        try:
            if request.header(b"tus-resumable") != VERSION:
                raise PreconditionFailed(f"The header Tus-Resumable must be {VERSION}")
            response = await endpoint(request)
        except MatrixError as error:
            response = error_response(error)
        spoken = [(b"tus-resumable", VERSION.encode()), (b"tus-version", VERSION.encode())]
        return msgspec.structs.replace(response, headers=[*response.headers, *spoken])

    return checked


async def tell_abilities(bytes_max: int, _: Request) -> Response:
    """OPTIONS: what this server can do."""
    return Response(b"", 204, [
        (b"tus-resumable", VERSION.encode()),
        (b"tus-version", VERSION.encode()),
        (b"tus-extension", b"creation,termination,expiration"),
        (b"tus-max-size", str(bytes_max).encode()),
    ])  # fmt: skip


async def begin_upload(uploads: ResumableUploads, server_name: str, request: Request) -> Response:
    """POST: begin; the answer says where the parts go and what the media will be called."""
    length = _header_int(request, b"upload-length")
    told = _metadata(request.header(b"upload-metadata") or "")
    row = await uploads.begin(
        Upload(request.requester.user_id, told.get("filetype"), told.get("filename", ""), length)
    )
    where = (b"location", f"{PATH}/{row.upload_id}".encode())
    return Response(_shown(row, server_name), 201, [where, *_progress(row, row.offset_bytes)])


async def show_upload(uploads: ResumableUploads, server_name: str, request: Request) -> Response:
    """HEAD and GET: how far it has come."""
    row = await _find(uploads, request)
    return Response(_shown(row, server_name), 200, _progress(row, row.offset_bytes))


async def append_part(uploads: ResumableUploads, _: str, request: Request) -> Response:
    """PATCH: the next part."""
    if request.header(b"content-type") != PART_TYPE:
        raise UnsupportedMediaType(f"The Content-Type must be {PART_TYPE}")
    offset = _header_int(request, b"upload-offset")
    row = await _find(uploads, request)
    if (request.declared_bytes or 0) > row.size_bytes - row.offset_bytes:
        raise InvalidParam("This is more than the upload was said to have")
    return Response(b"", 204, _progress(row, await uploads.append(row, offset, request.chunks)))


async def drop_upload(uploads: ResumableUploads, _: str, request: Request) -> Response:
    """DELETE: give it up."""
    await uploads.drop(await _find(uploads, request))
    return Response(b"", 204)


async def _find(uploads: ResumableUploads, request: Request) -> ResumableRow:
    return await uploads.get(request.params["upload_id"], request.requester.user_id)


def _progress(row: ResumableRow, offset: int) -> Headers:
    return [
        (b"upload-offset", str(offset).encode()),
        (b"upload-length", str(row.size_bytes).encode()),
        (b"upload-expires", formatdate(row.expires_ts / 1000, usegmt=True).encode()),
        (b"cache-control", b"no-store"),
    ]


def _shown(row: ResumableRow, server_name: str) -> bytes:
    return _encode({
        "content_uri": f"mxc://{server_name}/{row.media_id}",
        "offset": row.offset_bytes,
        "length": row.size_bytes,
        "expires_at": row.expires_ts,
    })  # fmt: skip


def _header_int(request: Request, name: bytes) -> int:
    text = request.header(name)
    if text is None:
        raise MissingParam(f"The header {name.decode().title()} is missing")
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise InvalidParam(f"The header {name.decode().title()} must be a whole number")
    return int(text)


def _metadata(header: str) -> dict[str, str]:
    """Upload-Metadata: names and values in Base64, with commas in between."""
    if len(header) > METADATA_CHARACTERS_MAX:
        raise InvalidParam("The header Upload-Metadata is too long")
    told: dict[str, str] = {}
    for pair in filter(None, header.split(",")):
        name, _, value = pair.strip().partition(" ")
        try:
            told[name] = b64decode(value.strip(), validate=True).decode()
        except (Base64Error, ValueError) as error:
            raise InvalidParam("The header Upload-Metadata cannot be read") from error
    return told
