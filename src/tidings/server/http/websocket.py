"""The sync stream over one WebSocket, written straight to the transport.

uvicorn hands over a connection that asks to be upgraded. The handshake, the
frames that come in, pings and closing are the `websockets` library's sans-I/O
protocol; frames that go out are written to the transport at once, without a
task or a queue for each connection: that is what makes a delivery cheap.

The endpoint is `/_matrix/client/unstable/chat.tidings/sync`, with the
parameters of GET /sync but `timeout`. Each text frame is one answer as /sync
gives it. A reader that does not keep up is cut off with code 1013 and resumes
with the last `next_batch` it has.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, cast

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol

from tidings.protocol.errors import MatrixError
from tidings.server.http.request import Request

PATH = "/_matrix/client/unstable/chat.tidings/sync"
PING_INTERVAL_S = 25.0
UNSENT_BYTES_MAX = 4 * 1024 * 1024
"""A reader with so much unread is cut off."""
INCOMING_BYTES_MAX = 4096


class Subscriber(Protocol):
    """The stream behind a socket."""

    def resume(self) -> None:
        """The client can take more."""

    def alive(self) -> None:
        """The client has answered a ping."""

    def close(self) -> None:
        """The client has gone away."""


class Socket(Protocol):
    """Where a stream writes."""

    def send(self, frame: bytes) -> None:
        """Write a frame."""

    def refuse(self, error: MatrixError) -> None:
        """End the stream with a reason."""

    @property
    def is_congested(self) -> bool:
        """Whether the client reads more slowly than it is written to."""


Opener: TypeAlias = Callable[[Request, Socket], Awaitable[Subscriber]]
"""Authenticates and subscribes; raises MatrixError."""


def text_frame(data: bytes) -> bytes:
    """A whole text message from the server; the same bytes serve every reader."""
    return Frame(Opcode.TEXT, data).serialize(mask=False)


class SocketProtocol(asyncio.Protocol):
    """One WebSocket connection."""

    opener: Opener | None = None
    """Set once by the composition root, before the first connection."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, object]
    ) -> None:
        del config, app_state
        self._server_state = server_state
        self._protocol = ServerProtocol(max_size=INCOMING_BYTES_MAX)
        self._subscriber: Subscriber | None = None
        self._opening: asyncio.Task[None] | None = None
        self._ping: asyncio.TimerHandle | None = None
        self._awaits_pong = False
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Taken over from the HTTP connection."""
        # Not checked by isinstance: uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        # So that uvicorn closes the connection when the server stops.
        self._server_state.connections.add(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, HandshakeRequest):
                self._opening = asyncio.ensure_future(self._open(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.PONG:
                self._awaits_pong = False
                if self._subscriber is not None:
                    self._subscriber.alive()
        self._flush()

    def eof_received(self) -> None:
        """The client sends no more."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone away: nothing of it stays."""
        del exc
        self._server_state.connections.discard(self)
        if self._opening is not None:
            self._opening.cancel()
        if self._ping is not None:
            self._ping.cancel()
        if self._subscriber is not None:
            self._subscriber.close()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The client has caught up with what was written."""
        self._is_paused = False
        if self._subscriber is not None:
            self._subscriber.resume()

    def shutdown(self) -> None:
        """The server stops; the client comes back to the next one."""
        self._close(CloseCode.SERVICE_RESTART, "the server restarts")

    @property
    def is_congested(self) -> bool:
        """Whether the stream should wait for `resume`."""
        return self._is_paused

    def send(self, frame: bytes) -> None:
        """Write a frame made by text_frame; cut the reader off if it is hopelessly behind."""
        if self._protocol.state is not State.OPEN:
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._close(CloseCode.TRY_AGAIN_LATER, "too slow: resume with the last next_batch")
            self._transport.abort()

    def refuse(self, error: MatrixError) -> None:
        """End a stream that may not go on."""
        self._close(CloseCode.POLICY_VIOLATION, f"{error.errcode}: {error.message}")

    async def _open(self, handshake: HandshakeRequest) -> None:
        path, _, query = handshake.path.partition("?")
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in handshake.headers.raw_items()
        ]
        request = Request("GET", path, query.encode("ascii", "replace"), headers)
        response = self._protocol.accept(handshake)
        accepted = response.status_code == 101
        try:
            if path != PATH or self.opener is None:
                response = self._protocol.reject(404, "There is no WebSocket here\n")
            elif accepted:
                self._subscriber = await type(self).opener(request, self)  # type: ignore[misc]
        except MatrixError as error:
            response = self._protocol.reject(error.status, f"{error.errcode}: {error.message}\n")
        except InvalidHandshake:
            pass
        if self._transport.is_closing():
            return
        self._protocol.send_response(response)
        self._flush()
        if self._subscriber is not None:
            self._schedule_ping()
            self._subscriber.resume()

    def _schedule_ping(self) -> None:
        loop = asyncio.get_running_loop()
        self._ping = loop.call_later(PING_INTERVAL_S, self._send_ping)

    def _send_ping(self) -> None:
        if self._awaits_pong:
            self._transport.abort()
            return
        self._awaits_pong = True
        self._protocol.send_ping(b"")
        self._flush()
        self._schedule_ping()

    def _close(self, code: CloseCode, reason: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason[:120])
        else:
            self._transport.close()
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()
