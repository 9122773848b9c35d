"""A homeserver of prepared answers, a clock that only sleeping moves, and a line one can cut."""

import asyncio
from contextlib import suppress
from typing import Self

import httpx

from tidings.client.backoff import Patience
from tidings.client.http import Http, Login, Surroundings
from tidings.protocol.ids import DeviceId, UserId

Answer = httpx.Response | Exception
ANN = Login("secret", UserId("@ann:example.org"), DeviceId("DEV"))


class Wire(httpx.AsyncBaseTransport):
    """Gives prepared answers, one after another, and remembers the requests."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Watch:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def surroundings(self, wire: Wire) -> Surroundings:
        return Surroundings(wire, self.sleep, lambda: self.now, lambda: 1.0)


def ok(body: object) -> httpx.Response:
    return httpx.Response(200, json=body)


def refusal(status: int, errcode: str, **extra: object) -> httpx.Response:
    return httpx.Response(status, json={"errcode": errcode, "error": "no", **extra})


def connection(*answers: Answer, patience: Patience | None = None) -> tuple[Http, Wire, Watch]:
    wire, watch = Wire(*answers), Watch()
    return Http("http://hs.example", ANN, patience, watch.surroundings(wire)), wire, watch


class Line:
    """A TCP line to a real server that can be cut and mended."""

    def __init__(self, base_url: str) -> None:
        url = httpx.URL(base_url)
        self._host, self._port = url.host, url.port or 80
        self._listener: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()

    async def mend(self) -> None:
        self._listener = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Refuse new connections, break those there are."""
        if self._listener:
            self._listener.close()
            self._listener = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        except asyncio.CancelledError:
            pass  # cut: asyncio's own callback wants a task that ends quietly
        finally:
            for end in (writer, there_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
