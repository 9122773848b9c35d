"""What uvicorn's connection gives us beyond ASGI.

It calls back when the client has gone away: ASGI says so only to whoever awaits
`receive`, which for a thousand idle long polls is a thousand more tasks. And it
takes a whole answer at once: ASGI's two messages and the checks of each header
are a fifth of what a long poll costs. Under another server both fall back to
plain ASGI.
"""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

SCOPE_KEY = "tidings.lost"


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
        hooks, self._hooks = self._hooks, None
        for hook in hooks or ():
            hook()


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the hooks of the request in progress in its scope."""

    _lost: LostHooks | None = None

    def on_message_begin(self) -> None:
        """A request starts."""
        super().on_message_begin()
        self._lost = LostHooks()
        self.scope[SCOPE_KEY] = self._lost  # type: ignore[literal-required]

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone away."""
        super().connection_lost(exc)
        if self._lost is not None:
            self._lost.run()

    def shutdown(self) -> None:
        """The server stops: waiting long polls end now instead of at their deadline."""
        if self._lost is not None:
            asyncio.get_running_loop().call_soon(self._lost.run)
        super().shutdown()


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
    lines = [head]
    for name, value in cycle.default_headers:
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(b"content-length: %d\r\n\r\n" % len(body))
    lines.append(body)
    cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    cycle.on_response()
    return True
