"""What uvicorn's connection tells us beyond ASGI: that the client has gone away.

ASGI says so only to whoever awaits `receive`, which for a thousand idle long
polls is a thousand more tasks. The connection calls back instead.
"""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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
        self.scope[SCOPE_KEY] = self._lost  # type: ignore[typeddict-unknown-key]

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
