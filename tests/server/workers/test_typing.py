import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tidings.protocol.errors import StorageUnavailable
from tidings.protocol.ids import RoomId, StreamPosition, UserId
from tidings.rules.stream import TypingChanged
from tidings.server.live.typing import Typing
from tidings.server.workers.typing import end_typing

ROOM, ALICE = RoomId("!room:here"), UserId("@alice:here")


class Ender:
    """Ends typing at once, unless the database is to be out of order."""

    def __init__(self, typing: Typing) -> None:
        self.typing = typing
        self.asked = 0
        self.failures = 0
        self.done = asyncio.Event()

    async def end_expired(self) -> None:
        self.asked += 1
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("disk full")
        self.typing.apply(typing_changed(0))
        self.done.set()


def typing_changed(until_ts: int) -> TypingChanged:
    return TypingChanged(StreamPosition(1), ROOM, ALICE, until_ts)


@asynccontextmanager
async def working(typing: Typing, ender: Ender) -> AsyncGenerator[None]:
    task = asyncio.create_task(end_typing(typing, ender.end_expired, tick_s=0.001))
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()


async def test_nothing_runs_while_nobody_types() -> None:
    typing = Typing()
    ender = Ender(typing)
    async with working(typing, ender):
        await asyncio.sleep(0.02)
        assert ender.asked == 0
        typing.apply(typing_changed(1))
        await ender.done.wait()
        asked = ender.asked
        await asyncio.sleep(0.02)
        assert ender.asked == asked


async def test_a_fault_of_the_database_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    typing = Typing()
    ender = Ender(typing)
    ender.failures = 2
    typing.apply(typing_changed(1))
    with caplog.at_level(logging.WARNING, logger="tidings.typing"):
        async with working(typing, ender):
            await ender.done.wait()
    assert "disk full" in caplog.text
