"""A lean WebSocket client (RFC 6455): no task, no future for a message, no extension."""

import asyncio
import base64
import os
import struct
from collections.abc import Callable

from .http_client import Counters, Target

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebSocket(asyncio.Protocol):
    """One connection; each whole message goes to the callback as bytes."""

    __slots__ = (
        "_buffer",
        "_counters",
        "_on_loss",
        "_on_message",
        "_opened",
        "_parts",
        "transport",
    )

    def __init__(
        self, on_message: Callable[[bytes], None], on_loss: Callable[[], None], counters: Counters
    ) -> None:
        self._on_message = on_message
        self._on_loss = on_loss
        self._counters = counters
        self._buffer = b""
        self._parts: list[bytes] = []
        self._opened: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport

    async def open(self, target: Target, path: str, token: str) -> None:
        """Connect and upgrade; OSError when the server does not want to."""
        loop = asyncio.get_running_loop()
        self._opened = loop.create_future()
        self.transport, _ = await loop.create_connection(lambda: self, target.host, target.port)
        self._counters.connections += 1
        before, after = target.head("GET", token)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"{before}{path}{after}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        await self._opened

    def close(self) -> None:
        self._on_loss = lambda: None
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self._counters.bytes_in += len(data)
        if self._buffer:
            data = self._buffer + data
        if self._opened is not None:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._buffer = data
                return
            self._upgraded(head.split(b"\r\n", 1)[0])
            data = rest
        self._buffer = self._frames(data)

    def _upgraded(self, status_line: bytes) -> None:
        opened, self._opened = self._opened, None
        if status_line.split()[1:2] == [b"101"]:
            opened.set_result(None)
        else:
            self._on_loss = lambda: None
            self.transport.abort()
            opened.set_exception(ConnectionError(status_line.decode()))

    def _frames(self, data: bytes) -> bytes:
        """Take the whole frames off the front; what is left. A server does not mask."""
        at, size = 0, len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                if size < start + 2:
                    break
                (length,) = struct.unpack_from("!H", data, start)
                start += 2
            elif length == 127:
                if size < start + 8:
                    break
                (length,) = struct.unpack_from("!Q", data, start)
                start += 8
            if size < start + length:
                break
            self._frame(data[at], data[start : start + length])
            at = start + length
        return data[at:] if at else data

    def _frame(self, first: int, payload: bytes) -> None:
        kind = first & 0x0F
        if kind == PING:
            self._answer(PONG, payload)
        elif kind == CLOSE:
            self._answer(CLOSE, payload)
            self.transport.close()
        elif kind <= TEXT:
            if first & 0x80 and not self._parts:
                self._on_message(payload)
                return
            self._parts.append(payload)
            if first & 0x80:
                payload, self._parts = b"".join(self._parts), []
                self._on_message(payload)

    def _answer(self, kind: int, payload: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.transport.write(bytes((0x80 | kind, 0x80 | len(payload))) + mask + masked)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(ConnectionError("closed before the upgrade"))
            self._opened = None
            return
        self._counters.lost += 1
        self._on_loss()
