"""The edge: what is made of requests that do not come whole."""

from collections.abc import MutableMapping

from tidings.server.config import RateLimits
from tidings.server.http.app import HttpApp
from tidings.server.http.limits import RateLimiter
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import Route, Router
from tidings.server.live.sessions import Requester

Message = MutableMapping[str, object]


class Nobody:
    """No token is known."""

    async def requester_of(self, token: str, address: str = "") -> Requester:
        raise NotImplementedError

    async def holder_of(self, token: str, address: str = "") -> Requester:
        raise NotImplementedError


async def put(*messages: Message) -> tuple[list[bytes], int]:
    """The bodies an endpoint was given, and the status of the answer."""
    given: list[bytes] = []
    statuses: list[int] = []

    async def endpoint(request: Request) -> Response:
        given.append(request.body)
        return Response()

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        if isinstance(status := message.get("status"), int):
            statuses.append(status)

    waiting = list(messages)
    router = Router([Route("PUT", "/it", endpoint, auth="none")])
    app = HttpApp(router, Nobody(), RateLimiter(RateLimits(enabled=False)), 10)
    scope: Message = {
        "type": "http", "method": "PUT", "raw_path": b"/it", "query_string": b"", "headers": [],
    }  # fmt: skip
    await app(scope, receive, send)
    return given, statuses[0]


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_parts_is_put_together() -> None:
    assert await put(part(b'{"a"', more=True), part(b":1}")) == ([b'{"a":1}'], 200)


async def test_a_body_that_breaks_off_is_never_taken_for_a_whole_one() -> None:
    assert await put({"type": "http.disconnect"}) == ([], 400)
    assert await put(part(b"{}", more=True), {"type": "http.disconnect"}) == ([], 400)


async def test_a_body_that_is_too_long_is_refused_however_it_comes() -> None:
    assert await put(part(b"x" * 11)) == ([], 413)
    assert await put(part(b"x" * 6, more=True), part(b"x" * 6)) == ([], 413)
