"""A request as endpoints see it, and the answer they give."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from functools import lru_cache
from typing import TypeAlias, TypeVar
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from tidings.protocol.errors import BadJson, InvalidParam, MissingParam, MissingToken, NotJson
from tidings.protocol.events import JsonObject
from tidings.server.http.connection import LostHooks
from tidings.server.live.sessions import Requester

T = TypeVar("T")
Headers: TypeAlias = list[tuple[bytes, bytes]]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
QUERY_PAIRS_MAX = 100


class Response(msgspec.Struct, frozen=True):
    """An answer; the body is JSON unless the headers say otherwise."""

    body: bytes = b"{}"
    status: int = 200
    headers: Headers = []
    content_type: bytes = b"application/json"
    stream: AsyncGenerator[bytes, None] | None = None
    """A long body, sent as it is read and only as fast as the client takes it."""
    stream_bytes: int = 0
    """How long it is."""


EMPTY = Response()


def json_response(value: object, status: int = 200) -> Response:
    """An answer of one JSON value."""
    return Response(_encode(value), status)


@lru_cache(maxsize=1024)
def _unquote_value(text: str) -> str:
    """A query value; clients send the same filters over and over."""
    return unquote_plus(text, errors="strict")


def parse_query(query_string: bytes) -> dict[str, str]:
    """The parameters of a query, of repeated ones the first; raises InvalidParam.

    By hand, because this is a tenth of what a long poll costs with parse_qsl.
    """
    query: dict[str, str] = {}
    if not query_string:
        return query
    try:
        pairs = query_string.decode("ascii").split("&", QUERY_PAIRS_MAX)
        for pair in pairs:
            name, _, value = pair.partition("=")
            if "%" in value or "+" in value:
                value = _unquote_value(value)
            query.setdefault(unquote_plus(name) if "%" in name else name, value)
    except UnicodeDecodeError as error:
        raise InvalidParam("The query string cannot be read") from error
    if len(pairs) > QUERY_PAIRS_MAX:
        raise InvalidParam("The query has too many parameters")
    query.pop("", None)
    return query


class _NoChunks:
    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


NO_CHUNKS = _NoChunks()


class Request:
    """One HTTP request: the path's parameters, the query, the body, who asks."""

    __slots__ = (
        "_headers", "_query", "_query_string", "_requester", "address", "body", "chunks", "lost",
        "method", "params", "path",
    )  # fmt: skip

    def __init__(self, method: str, path: str, query_string: bytes, headers: Headers) -> None:
        self.method = method
        self.path = path
        self.params: Mapping[str, str] = {}
        self.body = b""
        self.chunks: AsyncIterator[bytes] = NO_CHUNKS
        """The body as it arrives, for routes with `stream_body`; `body` is empty for them."""
        self.address = ""
        self.lost = LostHooks()
        """Callbacks for when the client goes away."""
        self._headers = headers
        self._query_string = query_string
        self._query: dict[str, str] | None = None
        self._requester: Requester | None = None

    @property
    def requester(self) -> Requester:
        """Who asks; only endpoints that demand a token may use it."""
        if self._requester is None:
            raise MissingToken("An access token is needed")
        return self._requester

    @requester.setter
    def requester(self, requester: Requester) -> None:
        self._requester = requester

    @property
    def maybe_requester(self) -> Requester | None:
        """Who asks, where a token is welcome but not demanded."""
        return self._requester

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of repeated ones the first."""
        if self._query is None:
            self._query = parse_query(self._query_string)
        return self._query

    def query_all(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        pairs = parse_qsl(self._query_string.decode("ascii", "replace"), keep_blank_values=True)
        return [value for key, value in pairs if key == name]

    def query_int(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number from the query, clamped to `most`; raises InvalidParam."""
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError as error:
            raise InvalidParam(f"{name} must be a whole number") from error
        if value < least:
            raise InvalidParam(f"{name} must be at least {least}")
        return min(value, most)

    def query_bool(self, name: str, *, default: bool = False) -> bool:
        """`true` or `false` from the query; raises InvalidParam."""
        text = self.query.get(name)
        if text is None:
            return default
        if text not in ("true", "false"):
            raise InvalidParam(f"{name} must be true or false")
        return text == "true"

    def query_needed(self, name: str) -> str:
        """A parameter that must be there; raises MissingParam."""
        value = self.query.get(name)
        if value is None:
            raise MissingParam(f"The query parameter {name} is missing")
        return value

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""
        for key, value in self._headers:
            if key == name:
                return value.decode("latin-1")
        return None

    @property
    def declared_bytes(self) -> int | None:
        """How long the body is, if the client says so beforehand."""
        text = self.header(b"content-length")
        return int(text) if text is not None and text.isdecimal() and len(text) < 19 else None

    def json(self, kind: type[T]) -> T:
        """The body as a value of the kind; raises NotJson or BadJson with the place."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise BadJson(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotJson(f"The body is not JSON: {error}") from error

    def json_object(self) -> JsonObject:
        """The body as a JSON object of any shape; raises NotJson or BadJson."""
        try:
            value = _decode(self.body or b"{}")
        except msgspec.ValidationError as error:
            raise BadJson(str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotJson(f"The body is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadJson("The body must be a JSON object")
        return value
