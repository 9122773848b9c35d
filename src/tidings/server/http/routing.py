"""From a method and an encoded path to an endpoint.

Paths are split while still encoded and each segment is decoded by itself, so
that ids and state keys may hold `/` as `%2F`, and an empty last segment is a
value like any other (`/state/{type}/` with an empty key).
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

import msgspec

from tidings.protocol.errors import InvalidParam, MethodNotAllowed, Unrecognized
from tidings.server.http.request import Request, Response

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
V3 = "/_matrix/client/v3"


class Route(msgspec.Struct, frozen=True):
    """An endpoint and how it is reached.

    `auth`: `user` demands a token of a full account, `guest` takes guests as
    well, `locked` even accounts that are locked, `maybe` looks at a token where
    there is one, `none` ignores it.
    `limit`: the rate limit it counts against.
    """

    method: str
    path: str
    """Such as /_matrix/client/v3/rooms/{room_id}/join."""
    endpoint: Endpoint
    auth: str = "user"
    limit: str = "request"
    active: bool = False
    """Whether suspended accounts may not do it: it would be seen by others."""
    body_bytes_max: int | None = None
    """Instead of the server's limit."""
    stream_body: bool = False
    """Whether the body is left to the endpoint, chunk by chunk: `body_bytes_max` still holds."""


class _Node:
    __slots__ = ("any", "fixed", "routes")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.routes: dict[str, tuple[Route, tuple[str, ...]]] = {}


class Router:
    """A tree of path segments."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        self.routes = tuple(routes)
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node, names = self._root, []
        for segment in route.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment.strip("{}"))
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.fixed.setdefault(segment, _Node())
        if route.method in node.routes:
            raise ValueError(f"{route.method} {route.path} is routed twice")
        node.routes[route.method] = (route, tuple(names))

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The route and its decoded parameters; raises Unrecognized or MethodNotAllowed."""
        segments = raw_path.split("/")[1:]
        if segments[:3] == ["_matrix", "client", "r0"]:  # COMPAT(clients written before v1.1)
            segments[2] = "v3"
        values: list[str] = []
        node = self._descend(self._root, segments, 0, values)
        if node is None:
            raise Unrecognized("Unrecognized request: no such path")
        found = node.routes.get(method)
        if found is None:
            raise MethodNotAllowed(f"Unrecognized request: {method} is not allowed here")
        route, names = found
        return route, dict(zip(names, values, strict=True))

    def _descend(
        self, node: _Node, segments: list[str], depth: int, values: list[str]
    ) -> _Node | None:
        if depth == len(segments):
            return node if node.routes else None
        segment = segments[depth]
        fixed = node.fixed.get(segment)
        if fixed is not None:
            found = self._descend(fixed, segments, depth + 1, values)
            if found is not None:
                return found
        if node.any is None:
            return None
        mark = len(values)
        values.append(decode_segment(segment))
        found = self._descend(node.any, segments, depth + 1, values)
        if found is None:
            del values[mark:]
        return found


@lru_cache(maxsize=4096)
def decode_segment(segment: str) -> str:
    """A path segment without its percent encoding; raises InvalidParam."""
    if "%" not in segment:
        return segment
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidParam("The path is not UTF-8") from error
    if "\0" in text:  # no identifier holds it, nor does PostgreSQL's text
        raise InvalidParam("The path holds a null character")
    return text
