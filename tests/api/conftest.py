"""Fixtures of the API's tests: the server in this process, on each database, with a fake clock."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.api.server import ApiServer, FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def start_server(
    db_url: str, clock: FakeClock, tmp_path: Path
) -> AsyncGenerator[Callable[..., Awaitable[ApiServer]], None]:
    """Starts servers with settings of the test's own; several share the database."""
    running: list[ApiServer] = []

    async def start(**settings: object) -> ApiServer:
        settings = {"data_dir": str(tmp_path / "data"), **settings}
        running.append(await ApiServer.start(db_url, clock, **settings))
        return running[-1]

    yield start
    for server in reversed(running):
        await server.close()


@pytest.fixture
async def server(start_server: Callable[..., Awaitable[ApiServer]]) -> ApiServer:
    """The server: `alice = await server.user("alice")` is somebody logged in."""
    return await start_server()
