"""A lean HTTP/1.1 client: one request at a time on each connection.

The generator shares the machine with the server it measures, so every
microsecond spent here is taken from the server. Responses are parsed by
httptools without looking at headers, and a caller may take the answer in a
plain callback (long polls: no task, no future) or await it (everything else).
"""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httptools

LOST = 0  # pseudo status: the connection went away before the answer was complete


class Counters:
    """What went over the wire, for the whole process."""

    __slots__ = ("bytes_in", "bytes_out", "connections", "lost", "rate_limited", "requests")

    def __init__(self) -> None:
        self.bytes_in = self.bytes_out = 0
        self.requests = self.connections = self.lost = self.rate_limited = 0

    def snapshot(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


class Target:
    """Where the server under test listens. Plain HTTP only."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError("the base URL must look like http://127.0.0.1:8008")
        self.host = parts.hostname
        self.port = parts.port or 80
        self.prefix = parts.path.rstrip("/")
        self.host_header = f"{self.host}:{self.port}"

    def head(self, method: str, token: str | None) -> tuple[str, str]:
        """The request head around the path: (before it, after it up to the last header)."""
        after = f" HTTP/1.1\r\nHost: {self.host_header}\r\nAccept: application/json\r\n"
        if token:
            after += f"Authorization: Bearer {token}\r\n"
        return f"{method} {self.prefix}", after

    def request(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        before, after = self.head(method, token)
        if body is None and method in ("POST", "PUT"):
            body = b"{}"
        if body is None:
            return f"{before}{path}{after}\r\n".encode()
        return (
            f"{before}{path}{after}Content-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


class Connection(asyncio.Protocol):
    """One keep-alive connection carrying one request at a time."""

    __slots__ = (
        "_callback",
        "_chunks",
        "_complete",
        "_keep_alive",
        "_parser",
        "_status",
        "counters",
        "target",
        "transport",
    )

    def __init__(self, target: Target, counters: Counters) -> None:
        self.target = target
        self.counters = counters
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._complete = False
        self._status = LOST
        self._keep_alive = True
        self._callback: Callable[[int, bytes], None] | None = None

    async def open(self) -> "Connection":
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self.target.host, self.target.port)
        self.counters.connections += 1
        return self

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def send(self, request: bytes, callback: Callable[[int, bytes], None]) -> None:
        self._callback = callback
        self.counters.requests += 1
        self.counters.bytes_out += len(request)
        self.transport.write(request)

    def close(self) -> None:
        self._callback = None
        if self.transport is not None:
            self.transport.abort()

    def give_up(self) -> None:
        """Drop a request that took too long; its caller is told LOST."""
        callback, self._callback = self._callback, None
        self.transport.abort()
        self.counters.lost += 1
        if callback is not None:
            callback(LOST, b"")

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.counters.bytes_in += len(data)
        self._parser.feed_data(data)
        if not self._complete:
            return
        self._complete = False
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        status = self._status
        if status < 200:  # an interim answer: the real one follows
            return
        if not self._keep_alive:
            self.transport.close()
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(status, body)

    def connection_lost(self, exc: Exception | None) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            self.counters.lost += 1
            callback(LOST, b"")

    # httptools callbacks

    def on_body(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        self._complete = True
        self._status = self._parser.get_status_code()
        self._keep_alive = self._parser.should_keep_alive()


class Pool:
    """Keep-alive connections shared by all awaited requests."""

    def __init__(self, target: Target, counters: Counters) -> None:
        self.target = target
        self.counters = counters
        self._free: list[Connection] = []

    async def request(self, raw: bytes, timeout: float = 300.0) -> tuple[int, bytes, float]:
        """Send and await (status, body, time the answer was complete)."""
        loop = asyncio.get_running_loop()
        while True:
            reused = None
            while self._free:
                candidate = self._free.pop()
                if candidate.usable:
                    reused = candidate
                    break
            connection = reused or await Connection(self.target, self.counters).open()
            answer: asyncio.Future[tuple[int, bytes, float]] = loop.create_future()

            def done(status: int, body: bytes, answer: asyncio.Future = answer) -> None:
                if not answer.done():
                    answer.set_result((status, body, time.perf_counter()))

            timer = loop.call_later(timeout, connection.give_up)
            connection.send(raw, done)
            result = await answer
            timer.cancel()
            if result[0] == LOST and reused is not None:
                continue  # the server closed an idle connection just as it was reused
            if connection.usable:
                self._free.append(connection)
            return result

    def close(self) -> None:
        for connection in self._free:
            connection.close()
        self._free.clear()
