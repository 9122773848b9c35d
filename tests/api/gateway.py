"""A push gateway: a server of its own on loopback, which does as the test tells it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

PATH = "/_matrix/push/v1/notify"
PATIENCE_S = 15.0


class Gateway:
    """Takes notifications and remembers them in order."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        """Notifications that were answered with success."""
        self.asked: list[dict[str, Any]] = []
        """All of them, refused ones included."""
        self.rejected: set[str] = set()
        self.failures = 0
        """So many requests are answered with 502."""
        self.stall_s = 0.0
        self.at_once = 0
        self.at_once_most = 0
        self.answer: bytes | None = None
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse connections from here on."""
        if self._server is not None:
            self._server.close()
            for writer in self._open:
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                assert head.startswith(f"POST {PATH} HTTP/1.1\r\n"), head
                lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
                assert lines["content-type"] == "application/json"
                body = json.loads(await reader.readexactly(int(lines["content-length"])))
                status, answer = await self._answer(body["notification"])
                writer.write(
                    b"HTTP/1.1 %d Whatever\r\ncontent-length: %d\r\n\r\n%b"
                    % (status, len(answer), answer)
                )
                await writer.drain()
        self._open.discard(writer)
        writer.close()

    async def _answer(self, notification: dict[str, Any]) -> tuple[int, bytes]:
        self.asked.append(notification)
        self.at_once += 1
        self.at_once_most = max(self.at_once, self.at_once_most)
        await asyncio.sleep(self.stall_s)
        self.at_once -= 1
        if self.failures:
            self.failures -= 1
            return 502, b"out of order"
        self.taken.append(notification)
        if self.answer is not None:
            return 200, self.answer
        keys = {device["pushkey"] for device in notification["devices"]}
        return 200, json.dumps({"rejected": sorted(keys & self.rejected)}).encode()

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """So many notifications, and no more."""
        await self.wait_until(lambda: len(self.taken) >= count)
        await asyncio.sleep(0.05)
        assert len(self.taken) == count, self.taken
        return self.taken

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - what is waited for is not ours to signal
                await asyncio.sleep(0.01)
