"""The one door to a homeserver: typed requests, retries, time limits, errors as values of one tree.

Only what may be repeated is repeated: GET, PUT and DELETE after any failure that may pass, POST
only when it cannot have been carried out (no connection was made, or the answer was 429).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from tidings.client.backoff import Patience, wait_s
from tidings.client.errors import (
    ApiError,
    BadAnswer,
    ClientError,
    NetworkError,
    RateLimited,
    parse_refusal,
)
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId

T = TypeVar("T")
QueryValue = str | int | bool
Query = Mapping[str, QueryValue]

USER_AGENT = "tidings-client"
ANSWER_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0


def v3(*segments: str) -> str:
    """A path below /_matrix/client/v3 with each segment percent-encoded."""
    return "/_matrix/client/v3/" + _join(segments)


def v1(*segments: str) -> str:
    """A path below /_matrix/client/v1 with each segment percent-encoded."""
    return "/_matrix/client/v1/" + _join(segments)


def _join(segments: tuple[str, ...]) -> str:
    return "/".join(quote(segment, safe="") for segment in segments)


class Login(msgspec.Struct, frozen=True):
    """Who we are to the homeserver."""

    access_token: str
    user_id: UserId
    device_id: DeviceId


class Surroundings(msgspec.Struct, frozen=True):
    """What tests replace: the wire, the clock, the dice."""

    transport: httpx.AsyncBaseTransport | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    dice: Callable[[], float] = random.random
    on_wait: Callable[[ClientError, float], None] | None = None
    """Told before each wait, so that a person can be told."""


class Request(msgspec.Struct, frozen=True):
    """One call of the API."""

    method: str
    path: str
    query: Query = {}
    body: object = None
    timeout_s: float = ANSWER_TIMEOUT_S
    follow_redirects: bool = False

    @property
    def is_repeatable(self) -> bool:
        """Whether doing it twice is the same as doing it once."""
        return self.method != "POST"


class Http:
    """A connection pool to one homeserver, with or without a login."""

    def __init__(
        self,
        base_url: str,
        login: Login | None = None,
        patience: Patience | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.login = login
        self.patience = patience or Patience()
        self._around = surroundings or Surroundings()
        self._pool = httpx.AsyncClient(
            transport=self._around.transport,
            headers={"User-Agent": USER_AGENT},
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8),
        )

    @property
    def user_id(self) -> UserId:
        """Our user id; raises when there is no login."""
        return self.require_login().user_id

    @property
    def device_id(self) -> DeviceId:
        """Our device id; raises when there is no login."""
        return self.require_login().device_id

    def require_login(self) -> Login:
        """The login of a connection that has one."""
        if self.login is None:
            raise RuntimeError("this connection has no login")
        return self.login

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    def logged_in(self, login: Login) -> "Http":
        """A connection to the same homeserver with a login; this one stays as it is."""
        return Http(self.base_url, login, self.patience, self._around)

    async def get(self, path: str, reply: type[T], query: Query | None = None) -> T:
        """GET, decoded as `reply`."""
        return await self.call(Request("GET", path, query or {}), reply)

    async def put(self, path: str, body: object, reply: type[T]) -> T:
        """PUT a JSON body, decoded as `reply`."""
        return await self.call(Request("PUT", path, body=body), reply)

    async def post(self, path: str, body: object, reply: type[T]) -> T:
        """POST a JSON body, decoded as `reply`."""
        return await self.call(Request("POST", path, body=body), reply)

    async def delete(self, path: str) -> None:
        """DELETE; the answer holds nothing."""
        await self.call(Request("DELETE", path), JsonObject)

    async def call(self, request: Request, reply: type[T], patience: Patience | None = None) -> T:
        """One call with retries, decoded as `reply`."""
        answer = await self._persevere(request, patience or self.patience)
        try:
            return msgspec.json.decode(answer, type=reply)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadAnswer(f"{self.base_url} gave an answer we cannot read: {error}") from error

    async def _persevere(self, request: Request, patience: Patience) -> bytes:
        started, attempt = self._around.monotonic(), 0
        while True:
            attempt += 1
            try:
                return await self._attempt(request)
            except ClientError as error:
                wait = self._wait_after(error, patience, attempt)
                elapsed = self._around.monotonic() - started
                if not _may_repeat(request, error) or elapsed + wait > patience.total_s:
                    raise
                if self._around.on_wait:
                    self._around.on_wait(error, wait)
            await self._around.sleep(wait)

    def _wait_after(self, error: ClientError, patience: Patience, attempt: int) -> float:
        if isinstance(error, ApiError) and error.retry_after_s is not None:
            return error.retry_after_s
        return wait_s(patience, attempt, self._around.dice())

    async def _attempt(self, request: Request) -> bytes:
        try:
            answer = await self._pool.send(
                self._encode(request), follow_redirects=request.follow_redirects
            )
        except (httpx.TransportError, httpx.TooManyRedirects) as error:
            raise self._unreachable(error) from error
        except httpx.InvalidURL as error:
            raise NetworkError(f"{self.base_url} is not an address: {error}") from error
        if not answer.is_success:
            raise _parse_error(answer)
        return answer.content

    def _encode(self, request: Request) -> httpx.Request:
        headers = {"Authorization": f"Bearer {self.login.access_token}"} if self.login else {}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        return self._pool.build_request(
            request.method,
            self.base_url + request.path,
            params={name: _query_text(value) for name, value in request.query.items()} or None,
            content=None if request.body is None else msgspec.json.encode(request.body),
            headers=headers,
            timeout=httpx.Timeout(request.timeout_s, connect=CONNECT_TIMEOUT_S),
        )

    def _unreachable(self, error: httpx.RequestError) -> NetworkError:
        reason = str(error) or type(error).__name__
        return NetworkError(
            f"cannot reach {self.base_url}: {reason}",
            "is the address right, is the server running, does a firewall or proxy stand between?",
            was_sent=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
        )


def _may_repeat(request: Request, error: ClientError) -> bool:
    if isinstance(error, RateLimited):
        return True
    if isinstance(error, NetworkError) and not error.was_sent:
        return True
    return request.is_repeatable and is_passing(error)


def is_passing(error: ClientError) -> bool:
    """Whether the same request may succeed later without anybody doing anything."""
    if isinstance(error, ApiError):
        return isinstance(error, RateLimited) or error.status >= 500
    return isinstance(error, NetworkError)


def _query_text(value: QueryValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _parse_error(answer: httpx.Response) -> ApiError:
    error = parse_refusal(answer.status_code, _error_body(answer))
    error.retry_after_s = _retry_after_s(answer, error.body)
    return error


def _error_body(answer: httpx.Response) -> JsonObject:
    try:
        return msgspec.json.decode(answer.content, type=JsonObject)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}  # a proxy's page: the status alone says what happened


def _retry_after_s(answer: httpx.Response, body: JsonObject) -> float | None:
    header = answer.headers.get("Retry-After", "")
    if header.isdecimal():
        return float(header)
    retry_after_ms = body.get("retry_after_ms")  # COMPAT: servers before v1.10 of the spec
    return retry_after_ms / 1000 if isinstance(retry_after_ms, int) else None
