"""The server of an API test behind real sockets: the connections a client can hold and drop."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import uvicorn
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect

from tests.api.server import ApiServer, Person
from tidings.server.api import sync
from tidings.server.http.connection import HttpConnection
from tidings.server.http.websocket import PATH, SocketProtocol

SMALL_BUFFER_BYTES = 16 * 1024


class Listening:
    """A server that listens on a port of its own."""

    def __init__(self, server: ApiServer, port: int, state: ServerState) -> None:
        self.server = server
        self.port = port
        self.state = state

    @property
    def waiting(self) -> int:
        """How many users somebody is listening for."""
        return self.server.server.feed.waiting

    async def socket(
        self, person: Person, since: str | None = None, **query: str
    ) -> ClientConnection:
        """The sync stream over a WebSocket."""
        if since is not None:
            query["since"] = since
        url = f"ws://127.0.0.1:{self.port}{PATH}?{urlencode(query)}"
        headers = {"Authorization": f"Bearer {person.token}"}
        return await connect(url, additional_headers=headers, max_size=None, proxy=None)

    async def connection(
        self, buffer_bytes: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A bare connection, for bytes no client would send."""
        raw = socket.socket()
        if buffer_bytes is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=raw, limit=buffer_bytes or 2**16)


@asynccontextmanager
async def listening(server: ApiServer) -> AsyncIterator[Listening]:
    """Let a server listen for as long as the block runs."""
    settings = uvicorn.Config(
        server.server.asgi, http=HttpConnection, ws=SocketProtocol,
        lifespan="off", access_log=False, log_config=None, proxy_headers=False,
    )  # fmt: skip
    settings.load()
    SocketProtocol.opener = server.server.socket_opener
    HttpConnection.direct = {sync.PATH.encode(): server.server.direct_sync}
    state = ServerState()
    loop = asyncio.get_running_loop()
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
    listener = await loop.create_server(
        lambda: HttpConnection(config=settings, server_state=state, app_state={}), sock=sock
    )
    try:
        yield Listening(server, sock.getsockname()[1], state)
    finally:
        listener.close()
        for connection in tuple(state.connections):
            connection.shutdown()
        await until(lambda: not state.connections)
        SocketProtocol.opener = None
        HttpConnection.direct = {}


async def until(is_so: object, patience_s: float = 10) -> None:
    """Wait for what other connections bring about."""
    assert callable(is_so)
    async with asyncio.timeout(patience_s):
        while not is_so():  # noqa: ASYNC110 - the server has no event for what a test asks
            await asyncio.sleep(0.005)


async def frame(stream: ClientConnection) -> dict[str, Any]:
    """The next answer of a stream."""
    async with asyncio.timeout(10):
        told: dict[str, Any] = json.loads(await stream.recv())
    return told
