"""The answer that is a stored file: whole, a range of it, or nothing new.

Source: client-server API, "Content repository"; RFC 9110 for ranges and conditions.
"""

import msgspec

from tidings.protocol.errors import RangeNotSatisfiable
from tidings.rules.byte_ranges import NotSatisfiable, Span, parse_range
from tidings.rules.media_types import content_disposition
from tidings.server.http.app import error_response
from tidings.server.http.request import Headers, Request, Response
from tidings.server.services.media import Media

SECURITY: Headers = [
    # Nothing that is uploaded may run, whatever a browser makes of it.
    (
        b"content-security-policy",
        (
            b"sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf;"
            b" style-src 'unsafe-inline'; media-src 'self'; object-src 'self';"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"referrer-policy", b"no-referrer"),
]
AT_ONCE_BYTES = 256 * 1024
"""A body that is no longer than this is sent in one piece."""


class Shown(msgspec.Struct, frozen=True):
    """A stored file as it is shown."""

    sha256: str
    stored_name: str
    size_bytes: int
    content_type: str
    file_name: str


async def content_response(media: Media, request: Request, shown: Shown) -> Response:
    """Answer with the file, as far as it is asked for."""
    etag = f'"{shown.sha256}"'
    headers = [
        *SECURITY,
        # Content never changes under its name; only the browser itself may keep it.
        (b"cache-control", b"private, max-age=31536000, immutable"),
        (b"etag", etag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"content-disposition", content_disposition(shown.content_type, shown.file_name)),
    ]
    kind = shown.content_type.encode()
    if _has_etag(request.header(b"if-none-match"), etag):
        return Response(b"", 304, headers, kind)
    try:
        span = _wanted(request, shown, etag)
    except NotSatisfiable:
        return _not_satisfiable(shown)
    status = 200
    if span is None:
        span = Span(0, shown.size_bytes)
    else:
        headers.append((b"content-range", span.content_range(shown.size_bytes).encode()))
        status = 206
    stream = await media.read(shown.stored_name, span.first, span.length)
    if span.length <= AT_ONCE_BYTES:
        return Response(b"".join([piece async for piece in stream]), status, headers, kind)
    return Response(b"", status, headers, kind, stream, span.length)


def _wanted(request: Request, shown: Shown, etag: str) -> Span | None:
    condition = request.header(b"if-range")
    if condition is not None and condition != etag:
        return None
    return parse_range(request.header(b"range"), shown.size_bytes)


def _has_etag(condition: str | None, etag: str) -> bool:
    if condition is None:
        return False
    names = [name.strip().removeprefix("W/") for name in condition.split(",")]
    return "*" in names or etag in names


def _not_satisfiable(shown: Shown) -> Response:
    refused = error_response(RangeNotSatisfiable("The file is not that long"))
    size = f"bytes */{shown.size_bytes}".encode()
    return msgspec.structs.replace(refused, headers=[(b"content-range", size)])
