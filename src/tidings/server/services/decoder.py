"""Gives work to the decoding process, one job at a time.

The process is started when there is work and ended when there has been none for a while. Jobs
wait in a queue of limited length.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import msgspec

from tidings.protocol.errors import LimitExceeded
from tidings.server.services.decoder_process import LENGTH_BYTES, Job, Refusal, Reply

TIMEOUT_S = 20.0
IDLE_S = 60.0
WAITING_MAX = 100

_encode = msgspec.msgpack.Encoder().encode
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class Decoder:
    """The way to the decoding process."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Callable[[Job], Awaitable[Reply]], None]:
        """Wait for one's turn; then jobs can be run, one after the other.

        A job that takes too long, or that the process dies of, is refused.
        """
        if self._waiting >= WAITING_MAX:
            raise LimitExceeded("Too many pictures are being worked on; try again shortly", 5_000)
        self._waiting += 1
        try:
            async with self._turn:
                yield self._run
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _run(self, job: Job) -> Reply:
        if self._idle is not None:
            self._idle.cancel()
        done = False
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._ask(job)
            done = True
            return reply
        except TimeoutError:
            return Refusal(is_too_large=True)
        except (asyncio.IncompleteReadError, ConnectionError):
            return Refusal()
        finally:
            if done:
                self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._retire)
            else:
                await self._end()

    async def _ask(self, job: Job) -> Reply:
        if self._process is None:
            command = (sys.executable, "-m", "tidings.server.services.decoder_process")
            self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            raise ConnectionError
        message = _encode(job)
        to.write(len(message).to_bytes(LENGTH_BYTES, "big"))
        to.write(message)
        await to.drain()
        length = int.from_bytes(await back.readexactly(LENGTH_BYTES), "big")
        return _replies.decode(await back.readexactly(length))

    def _retire(self) -> None:
        """There has been no work for a while: without input the process ends by itself."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()

    async def _end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
