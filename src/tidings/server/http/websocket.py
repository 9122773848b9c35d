"""The sync stream over one WebSocket, written straight to the transport.

uvicorn hands over a connection that asks to be upgraded. The handshake, the
frames that come in, pings and closing are the `websockets` library's sans-I/O
protocol; frames that go out are written to the transport at once, without a
task or a queue for each connection: that is what makes a delivery cheap.

The endpoint is `/_matrix/client/unstable/chat.tidings/sync`, with the
parameters of GET /sync but `timeout`. Each text frame is one answer as /sync
gives it. A stream writes nothing while its reader is behind, so at most one
answer waits for a reader; one that takes nothing of it for a while is cut off,
and resumes with the last `next_batch` it has.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import ClassVar, Protocol, TypeAlias, cast

from uvicorn.config import Config
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol

from tidings.protocol.errors import MatrixError, ServerFault
from tidings.server.http.request import Request

log = logging.getLogger("tidings.socket")

PATH = "/_matrix/client/unstable/chat.tidings/sync"
CLOSE_PATIENCE_S = 5.0
"""How long a client may take to answer that the connection ends."""
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

    opener: ClassVar[Opener | None] = None
    """Set once by the composition root, before the first connection."""
    ping_interval_s: ClassVar[float] = 25.0

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, object]
    ) -> None:
        del config, app_state
        self._server_state = server_state
        self._protocol = ServerProtocol(max_size=INCOMING_BYTES_MAX)
        self._subscriber: Subscriber | None = None
        self._opening: asyncio.Task[None] | None = None
        self._ping: asyncio.TimerHandle | None = None
        self._end: asyncio.TimerHandle | None = None
        self._awaits_pong = False
        self._written_bytes = 0
        self._taken_bytes = 0
        """How much of it the client had taken when it was looked at last."""
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
        if self._end is not None:
            self._end.cancel()
        self._unsubscribe()

    def _unsubscribe(self) -> None:
        if self._ping is not None:
            self._ping.cancel()
        if self._subscriber is not None:
            self._subscriber.close()
            self._subscriber = None

    def pause_writing(self) -> None:
        """The client reads more slowly than we write, so it is not read from either.

        Otherwise the answers to its pings would pile up.
        """
        self._is_paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up with what was written."""
        self._is_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
        if self._subscriber is not None:
            self._subscriber.resume()

    def shutdown(self) -> None:
        """The server stops; the client comes back to the next one."""
        self._close(CloseCode.SERVICE_RESTART, "the server restarts")
        self._transport.close()

    @property
    def is_congested(self) -> bool:
        """Whether the stream should wait for `resume`."""
        return self._is_paused

    def send(self, frame: bytes) -> None:
        """Write a frame made by text_frame."""
        if self._protocol.state is State.OPEN:
            self._write(frame)

    def _write(self, data: bytes) -> None:
        self._written_bytes += len(data)
        self._transport.write(data)

    def refuse(self, error: MatrixError) -> None:
        """End a stream that may not go on."""
        is_ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        code = CloseCode.INTERNAL_ERROR if is_ours else CloseCode.POLICY_VIOLATION
        self._close(code, f"{error.errcode}: {error.message}")

    async def _open(self, handshake: HandshakeRequest) -> None:
        path, _, query = handshake.path.partition("?")
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in handshake.headers.raw_items()
        ]
        request = Request("GET", path, query.encode("ascii", "replace"), headers)
        peer = self._transport.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            request.address = str(peer[0])
        response = self._protocol.accept(handshake)
        if path != PATH or type(self).opener is None:
            response = self._protocol.reject(404, "There is no WebSocket here\n")
        elif response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            refusal = await self._subscribe(request)
            if refusal is not None:
                text = f"{refusal.errcode}: {refusal.message}\n"
                response = self._protocol.reject(refusal.status, text)
        if self._transport.is_closing():
            return
        self._protocol.send_response(response)
        self._flush()
        if self._subscriber is not None:
            self._schedule_ping()
            self._subscriber.resume()

    async def _subscribe(self, request: Request) -> MatrixError | None:
        """Open the stream; the reason where that cannot be."""
        try:
            if (opener := type(self).opener) is not None:
                self._subscriber = await opener(request, self)
        except MatrixError as error:
            return error
        except Exception:
            log.exception("socket.failed")
            return ServerFault("Internal server error")
        return None

    def _schedule_ping(self) -> None:
        loop = asyncio.get_running_loop()
        self._ping = loop.call_later(self.ping_interval_s, self._send_ping)

    def _send_ping(self) -> None:
        taken = self._written_bytes - self._transport.get_write_buffer_size()
        is_reading, self._taken_bytes = taken > self._taken_bytes, taken
        if self._awaits_pong and not is_reading:
            self._transport.abort()
            return
        if not self._awaits_pong:
            self._awaits_pong = True
            self._protocol.send_ping(b"")
            self._flush()
        self._schedule_ping()

    def _close(self, code: CloseCode, reason: str) -> None:
        self._unsubscribe()
        if self._protocol.state is not State.OPEN:
            self._transport.close()
            return
        self._protocol.send_close(code, reason.encode()[:120].decode(errors="ignore"))
        self._flush()
        loop = asyncio.get_running_loop()
        self._end = loop.call_later(CLOSE_PATIENCE_S, self._transport.abort)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._write(data)
            else:
                self._transport.close()
