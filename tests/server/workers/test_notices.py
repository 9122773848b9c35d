"""Notices of who never reads do not pile up."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.api.chat import create_room, mentioning, send, unread
from tests.api.server import ApiServer, FakeClock
from tidings.protocol.errors import StorageUnavailable
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import Notice
from tidings.server.services.notice_trimmer import NoticeTrimmer
from tidings.server.storage.database import WriteTx
from tidings.server.workers.notices import trim_notices


@asynccontextmanager
async def serving(db_url: str, data_dir: str) -> AsyncGenerator[ApiServer, None]:
    server = await ApiServer.start(db_url, FakeClock(), data_dir=data_dir)
    try:
        yield server
    finally:
        await server.close()


async def note(server: ApiServer, user_id: str, room_id: str, positions: Sequence[int]) -> None:
    """Notices of events that are long gone."""

    async def recipe(tx: WriteTx) -> None:
        notice = [Notice(UserId(user_id), notify=True, highlight=False)]
        for position in positions:
            await server.server.people.add_notices(tx, RoomId(room_id), position, "main", notice)

    await server.server.db.write(recipe)


async def noted(server: ApiServer, room_id: str) -> list[int]:
    async with server.server.db.read() as tx:
        sql = "SELECT position FROM notices WHERE room_id = ? ORDER BY position"
        return [position for (position,) in await tx.fetch(tuple[int], sql, room_id)]


async def test_only_the_newest_notices_are_kept(db_url: str, tmp_path: object) -> None:
    async with serving(db_url, f"{tmp_path}/data") as server:
        alice, bob = await server.user("alice"), await server.user("bob")
        room_id = await create_room(alice, bob)
        other = await create_room(alice, bob)
        await note(server, bob.user_id, room_id, range(-1_500, 0))
        await note(server, bob.user_id, other, range(-2_500, -1_500))
        await send(alice, room_id, **mentioning(bob))
        async with asyncio.timeout(10):
            while len(await noted(server, room_id)) > 1_000:  # noqa: ASYNC110 - a worker's doing
                await asyncio.sleep(0.05)
        kept = await noted(server, room_id)
        assert kept[:-1] == list(range(-999, 0))
        assert kept[-1] > 0
        assert len(await noted(server, other)) == 1_000
        assert await unread(bob, room_id) == (1, 1)


class Unavailable(NoticeTrimmer):
    """Cannot delete the first time."""

    def __init__(self) -> None:
        self.asked = 0
        self.done = asyncio.Event()

    async def wait(self) -> None:
        if self.asked == 2:
            await asyncio.Event().wait()

    async def trim(self) -> None:
        self.asked += 1
        if self.asked == 1:
            raise StorageUnavailable("disk full")
        self.done.set()


async def test_a_fault_of_the_database_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trimmer = Unavailable()
    with caplog.at_level(logging.WARNING, logger="tidings.notices"):
        task = asyncio.create_task(trim_notices(trimmer, pause_s=0.001))
        await trimmer.done.wait()
        task.cancel()
    assert "disk full" in caplog.text
