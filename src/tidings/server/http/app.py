"""The ASGI application: finds the route, checks the token and the limits, answers.

Every answer, errors included, carries the CORS headers the spec demands. An
exception that is not a MatrixError is our fault: it is logged with the
request's id and answered without a trace of its text.
"""

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol
from uuid import uuid4

import msgspec

from tidings.protocol.errors import (
    AuthenticationNeeded,
    GuestAccessForbidden,
    LimitExceeded,
    MatrixError,
    MissingToken,
    NotJson,
    ServerFault,
    TooLarge,
    UserSuspended,
)
from tidings.server.http.asgi import Receive, Scope, Send, body_of
from tidings.server.http.connection import SCOPE_KEY, LostHooks, write_response
from tidings.server.http.limits import RateLimiter
from tidings.server.http.request import Headers, Request, Response
from tidings.server.http.routing import Route, Router
from tidings.server.http.streams import body_chunks, send_stream
from tidings.server.live.sessions import Requester

log = logging.getLogger("tidings.http")

CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS"),
    (
        b"access-control-allow-headers",
        (
            b"X-Requested-With, Content-Type, Authorization, Date, Range, If-Range, If-None-Match,"
            b" Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata"
        ),
    ),
    (
        b"access-control-expose-headers",
        (
            b"Location, Retry-After, Content-Disposition, Content-Range, ETag, Tus-Resumable,"
            b" Upload-Offset, Upload-Length, Upload-Expires"
        ),
    ),
]
_encode = msgspec.json.Encoder().encode


class Authenticator(Protocol):
    """Turns a token into who holds it."""

    async def requester_of(self, token: str, address: str = "") -> Requester:
        """Who holds the token; raises UnknownToken and UserLocked."""

    async def holder_of(self, token: str, address: str = "") -> Requester:
        """Who holds the token, locked or not; raises UnknownToken."""


class HttpApp:
    """`app(scope, receive, send)`."""

    def __init__(
        self, router: Router, sessions: Authenticator, limiter: RateLimiter, body_bytes_max: int
    ) -> None:
        self._router = router
        self._sessions = sessions
        self._limiter = limiter
        self._body_bytes_max = body_bytes_max
        self.log_requests = False
        self.count_queries: Callable[[], int] | None = None
        """Set in development: each answer then tells how many statements have run so far."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        begun = time.perf_counter()
        request = _request_of(scope)
        try:
            response = await self._respond(request, receive)
        except Exception as error:  # noqa: BLE001 - this is the edge
            response = error_response_of(error, request.path)
            if request.header(b"expect") is not None:
                # Told no, the client may leave the body out, or not: nobody can tell what the
                # next bytes are (RFC 9110, 10.1.1).
                close = (b"connection", b"close")
                response = msgspec.structs.replace(response, headers=[*response.headers, close])
        if request.lost.is_lost:
            return
        told = b""
        if self.count_queries is not None:
            told = b"x-tidings-queries: %d\r\n" % self.count_queries()
        await _send(send, request, response, told)
        if self.log_requests:
            took_ms = (time.perf_counter() - begun) * 1000
            log.info(
                "request method=%s path=%s status=%d bytes=%d took_ms=%.1f",
                request.method, request.path, response.status,
                len(response.body) or response.stream_bytes, took_ms,
            )  # fmt: skip

    async def _respond(self, request: Request, receive: Receive) -> Response:
        if request.method == "OPTIONS":
            return await self._preflight(request)
        method = "GET" if request.method == "HEAD" else request.method
        route, request.params = self._router.find(method, request.path)
        await self._authenticate(request, route)
        self._limiter.check(route.limit, request)
        if route.stream_body:
            request.chunks = body_chunks(receive, self._body_limit(request, route))
        elif method != "GET":
            request.body = await self._read_body(request, receive, route)
        return await route.endpoint(request)

    async def _preflight(self, request: Request) -> Response:
        try:
            route, _ = self._router.find("OPTIONS", request.path)
        except MatrixError:  # nobody is told which paths there are before asking for one
            return Response(b"", 204)
        return await route.endpoint(request)

    async def _authenticate(self, request: Request, route: Route) -> None:
        if route.auth == "none":
            return
        token = token_of(request)
        if token is None:
            if route.auth == "maybe":
                return
            raise MissingToken("An access token is needed")
        find = self._sessions.holder_of if route.auth == "locked" else self._sessions.requester_of
        requester = await find(token, request.address)
        if requester.is_guest and route.auth == "user":
            raise GuestAccessForbidden("Guests may not do this")
        if requester.is_suspended and route.active:
            raise UserSuspended("You may not do this while your account is suspended")
        request.requester = requester

    def _body_limit(self, request: Request, route: Route) -> int:
        """How long the body may be; raises TooLarge, before a byte of it is read, if it says more.

        What the client sends all the same is read and dropped while the connection lives, so that
        it comes to read the answer: closing at once would take the answer away from it.
        """
        most = self._body_bytes_max if route.body_bytes_max is None else route.body_bytes_max
        declared = request.declared_bytes
        if declared is not None and declared > most:
            raise TooLarge(f"The body may be at most {most} bytes long")
        return most

    async def _read_body(self, request: Request, receive: Receive, route: Route) -> bytes:
        most = self._body_limit(request, route)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                # What has come is not what was meant; nobody reads the answer.
                raise NotJson("The connection was lost before the body was complete")
            body += body_of(message)
            if len(body) > most:
                raise TooLarge(f"The body may be at most {most} bytes long")
            if not message.get("more_body"):
                return bytes(body)


def _request_of(scope: Scope) -> Request:
    raw_path, query, headers = scope["raw_path"], scope["query_string"], scope["headers"]
    if not isinstance(raw_path, bytes) or not isinstance(query, bytes):
        raise TypeError("the server gave no raw path")
    path = raw_path.decode("ascii", "replace")
    request = Request(str(scope["method"]), path, query, headers)  # type: ignore[arg-type]
    client = scope.get("client")
    if isinstance(client, tuple | list) and client:
        request.address = str(client[0])
    lost = scope.get(SCOPE_KEY)
    if isinstance(lost, LostHooks):
        request.lost = lost
    return request


def token_of(request: Request) -> str | None:
    """The access token of a request, from its header or (deprecated) from its query."""
    header = request.header(b"authorization")
    if header is not None and header[:7].lower() == "bearer ":
        return header[7:].strip()
    # Deprecated, still in v1.19; never logged, since only the path is.
    return request.query.get("access_token")


def error_response_of(error: BaseException, path: str) -> Response:
    """The answer to any exception; one that is not a refusal is logged under an id."""
    if isinstance(error, MatrixError):
        return error_response(error)
    request_id = uuid4().hex[:12]
    log.error("request.failed id=%s path=%s", request_id, path, exc_info=error)
    return error_response(ServerFault("Internal server error", request_id=request_id))


def error_response(error: MatrixError) -> Response:
    """The one place where an error becomes HTTP."""
    headers: Headers = []
    if isinstance(error, LimitExceeded):
        seconds = -(-error.retry_after_ms // 1000)
        headers = [(b"retry-after", str(seconds).encode())]
    body = error.to_json()
    if isinstance(error, AuthenticationNeeded):
        return Response(_encode(body), error.status)
    return Response(_encode(body), error.status, headers)


@lru_cache(maxsize=256)
def response_head(status: int, content_type: bytes) -> bytes:
    """The status line and the headers that answers of this kind share."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())]
    for name, value in ((b"content-type", content_type), *CORS):
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


async def _send(send: Send, request: Request, response: Response, told: bytes) -> None:
    """Write the answer; `told` is a line for the head that only plain answers carry."""
    is_plain = not response.headers and response.stream is None
    if is_plain and response.status != HTTPStatus.NO_CONTENT:
        head = response_head(response.status, response.content_type)
        if write_response(send, head + told, response.body):
            return
    size = len(response.body) if response.stream is None else response.stream_bytes
    headers = [(b"content-type", response.content_type), *CORS, *response.headers]
    if response.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        headers.append((b"content-length", str(size).encode()))
    if response.stream is not None:
        await send_stream(send, request, response, headers)
        return
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
