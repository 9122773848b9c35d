"""What uvicorn's connection gives us beyond ASGI.

It calls back when the client has gone away: ASGI says so only to whoever awaits
`receive`, which for a thousand idle long polls is a thousand more tasks. And it
takes a whole answer at once: ASGI's two messages and the checks of each header
are a fifth of what a long poll costs. Under another server both fall back to
plain ASGI.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import ClassVar, Protocol, TypeAlias

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

SCOPE_KEY = "tidings.lost"
HEAD_BYTES_MAX = 64 * 1024
"""A request line and headers longer than this end the connection."""


class LostHooks:
    """What to do when the connection of a request is lost."""

    __slots__ = ("_hooks", "is_lost")

    def __init__(self) -> None:
        self.is_lost = False
        self._hooks: list[Callable[[], None]] | None = None

    def add(self, hook: Callable[[], None]) -> None:
        """Call when the client goes away; at once if it has gone."""
        if self.is_lost:
            hook()
        elif self._hooks is None:
            self._hooks = [hook]
        else:
            self._hooks.append(hook)

    def run(self) -> None:
        """The client has gone away."""
        self.is_lost = True
        self.hurry()

    def hurry(self) -> None:
        """Do what is to be done, though the client is still there: the server stops."""
        hooks, self._hooks = self._hooks, None
        for hook in hooks or ():
            hook()


class DirectAnswer(Protocol):
    """An answer that is given by a plain call, now or later."""

    def start(self, respond: Callable[[bytes, bytes], None]) -> None:
        """Begin; `respond` takes head and body, once."""

    def expire(self) -> None:
        """Answer now: the server stops."""

    def cancel(self) -> None:
        """The client has gone away."""


DirectHandler: TypeAlias = Callable[[bytes, list[tuple[bytes, bytes]], str], DirectAnswer | None]
"""From URL, headers and address to an answer; None leaves the request to the application."""


class DirectCycle:
    """Stands where uvicorn expects its request-response cycle, without a task behind it."""

    __slots__ = (
        "answer", "body", "connection", "disconnected", "keep_alive", "message_event", "more_body",
        "response_complete", "response_started",
    )  # fmt: skip

    def __init__(self, connection: "HttpConnection", answer: DirectAnswer) -> None:
        self.connection = connection
        self.answer = answer
        self.keep_alive = True
        self.response_complete = self.response_started = self.disconnected = False
        self.message_event = _NOBODY_WAITS
        self.body = bytearray()
        self.more_body = True

    def respond(self, head: bytes, body: bytes) -> None:
        """Write the answer."""
        if self.response_complete or self.disconnected:
            return
        self.response_started = self.response_complete = True
        connection = self.connection
        connection.transport.write(
            _with_length(connection.server_state.default_headers, head, body)
        )
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()


class _NobodyWaits:
    """The event that uvicorn sets for whoever reads the body."""

    def set(self) -> None:
        """Nobody does."""


_NOBODY_WAITS = _NobodyWaits()


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP protocol with its shortcuts."""

    direct: ClassVar[dict[bytes, DirectHandler]] = {}
    """Handlers of GET requests by path; set by the composition root."""
    cycle: RequestResponseCycle | DirectCycle | None  # type: ignore[assignment]
    _lost: LostHooks | None = None
    _idle_since = 0.0
    """When the client last did anything that counts."""
    _is_in_head = False
    _head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Bytes from the client; the parser itself would take a head without end."""
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """A request starts."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0
        lost = LostHooks()
        if self._lost is not None and not (self.cycle is None or self.cycle.response_complete):
            lost.add(self._lost.run)  # pipelined: both requests lose the connection
        self._lost = lost
        self.scope[SCOPE_KEY] = self._lost  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        """A request's head has come; some requests need no more than that."""
        self._is_in_head = False
        cycle = self.cycle
        if isinstance(cycle, DirectCycle) and not cycle.response_complete and self._lost:
            self._lost.add(cycle.answer.cancel)  # pipelined: uvicorn puts another in its place
        answer = self._direct_answer()
        if answer is None:
            super().on_headers_complete()
            return
        cycle = DirectCycle(self, answer)
        self.cycle = cycle
        answer.start(cycle.respond)

    def _direct_answer(self) -> DirectAnswer | None:
        path = self.url.partition(b"?")[0]
        handler = self.direct.get(path)
        if handler is None or (self.cycle is not None and not self.cycle.response_complete):
            return None
        parser = self.parser
        if parser.get_method() != b"GET" or parser.should_upgrade():
            return None
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return None
        return handler(self.url, self.headers, self.client[0] if self.client else "")

    def on_body(self, body: bytes) -> None:
        """A part of a request's body."""
        self._idle_since = self.loop.time()
        super().on_body(body)

    def on_response_complete(self) -> None:
        """An answer is out. `close_idle` sees to connections that are not used again."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()
        self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone away."""
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost.run()
        if isinstance(self.cycle, DirectCycle):
            self.cycle.answer.cancel()

    def shutdown(self) -> None:
        """The server stops: waiting long polls end now instead of at their deadline."""
        if self._lost is not None:
            asyncio.get_running_loop().call_soon(self._lost.hurry)
        super().shutdown()
        if isinstance(self.cycle, DirectCycle) and not self.cycle.response_complete:
            self.cycle.answer.expire()

    def close_if_idle(self, before: float) -> None:
        """Close the connection if no request, or no more of one, has come since a time."""
        cycle = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering and isinstance(cycle, RequestResponseCycle):
            is_answering = not cycle.more_body
        if not is_answering and self._idle_since < before:
            self.transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connects."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()


async def close_idle(connections: Iterable[object], idle_s: float) -> None:
    """Close connections that were not used for so long; one timer serves all of them."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(idle_s / 5)
        before = loop.time() - idle_s
        for connection in tuple(connections):
            if isinstance(connection, HttpConnection):
                connection.close_if_idle(before)


def write_response(send: object, head: bytes, body: bytes) -> bool:
    """Write an answer whose head is known to be well-formed; False where only ASGI will do."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return False
    is_plain = cycle.keep_alive and not cycle.flow.write_paused and not cycle.response_started
    if not is_plain or cycle.disconnected or cycle.scope["method"] == "HEAD":
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(_with_length(cycle.default_headers, head, body))
    cycle.message_event.set()
    cycle.on_response()
    return True


def _with_length(headers: list[tuple[bytes, bytes]], head: bytes, body: bytes) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, lines, len(body), body)
