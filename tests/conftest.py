"""Fixtures for every test: a real server, people on it."""

from collections.abc import AsyncGenerator, Generator

import pytest

from tests.homeserver import Homeserver, ServerProcess, external_server

pytest_plugins = ["tests.databases"]


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    """The address of the session's one server; TIDINGS_TEST_SERVER names another homeserver."""
    if external := external_server():
        yield external.rstrip("/")
        return
    process = ServerProcess(tmp_path_factory.mktemp("server"))
    process.start()
    yield process.base_url
    process.stop()


@pytest.fixture
async def server(server_url: str) -> AsyncGenerator[Homeserver, None]:
    """The server: `alice = await server.user("alice")` is a logged-in connection."""
    homeserver = Homeserver(server_url)
    yield homeserver
    await homeserver.close()
