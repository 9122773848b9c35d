"""The sync stream over a WebSocket. Documented in docs/reference/websocket.md."""

import asyncio
from collections.abc import Callable

from tidings.protocol.errors import MatrixError, MissingToken
from tidings.server.api.sync import SyncReader
from tidings.server.http.app import token_of
from tidings.server.http.limits import RateLimiter
from tidings.server.http.request import Request
from tidings.server.http.websocket import Opener, Socket, text_frame
from tidings.server.live.sessions import Requester, Sessions
from tidings.server.services.sync import Sync
from tidings.server.services.sync_stream import SyncStream

FRAMES_SHARED_MAX = 64


class FrameCache:
    """The frame of a body: readers who are sent equal answers share its bytes."""

    def __init__(self) -> None:
        self._frames: dict[bytes, bytes] = {}

    def frame_of(self, body: bytes) -> bytes:
        """The body as one text frame."""
        frame = self._frames.get(body)
        if frame is None:
            if len(self._frames) >= FRAMES_SHARED_MAX:
                self._frames.clear()
            frame = self._frames[body] = text_frame(body)
        return frame


class SocketReader:
    """One client that is pushed to: its stream, its token and its presence."""

    def __init__(
        self, stream: SyncStream, socket: Socket, alive: Callable[[], None], session: "Session"
    ) -> None:
        self._stream = stream
        self._socket = socket
        self._session = session
        self._checks: set[asyncio.Task[None]] = set()
        self._note_presence = alive

    async def open(self) -> None:
        """Subscribe; raises InvalidParam."""
        await self._stream.open()
        self._session.follow(self._check_soon)
        self._check_soon()  # it may have ended while the stream was opened

    def alive(self) -> None:
        """The client has answered a ping: a sign of life, and a time to look at its token."""
        self._note_presence()
        self._check_soon()

    def resume(self) -> None:
        """The client can take more."""
        self._stream.resume()

    def close(self) -> None:
        """The client has gone away."""
        self._stream.close()
        self._session.unfollow(self._check_soon)

    def _check_soon(self) -> None:
        task = asyncio.ensure_future(self._check_session())
        self._checks.add(task)
        task.add_done_callback(self._checks.discard)

    async def _check_session(self) -> None:
        try:
            await self._session.requester()
        except MatrixError as error:
            self._socket.refuse(error)


class Session:
    """The token that a socket was opened with."""

    def __init__(self, sessions: Sessions, token: str, address: str) -> None:
        self._sessions = sessions
        self._token = token
        self._address = address
        self._requester: Requester | None = None

    async def requester(self) -> Requester:
        """Who holds the token; raises UnknownToken once it has ended."""
        self._requester = await self._sessions.requester_of(self._token, self._address)
        return self._requester

    def follow(self, changed: Callable[[], None]) -> None:
        """Call when anything about the session changes."""
        if self._requester is not None:
            key = (self._requester.user_id, self._requester.device_id)
            self._sessions.follow(key, changed)

    def unfollow(self, changed: Callable[[], None]) -> None:
        """Call no more."""
        if self._requester is not None:
            key = (self._requester.user_id, self._requester.device_id)
            self._sessions.unfollow(key, changed)


def opener(sync: Sync, reader: SyncReader, sessions: Sessions, limiter: RateLimiter) -> Opener:
    """What to do with a client that wants to be pushed to."""
    frame_of = FrameCache().frame_of

    async def open_reader(request: Request, socket: Socket) -> SocketReader:
        token = token_of(request)
        if token is None:
            raise MissingToken("An access token is needed")
        session = Session(sessions, token, request.address)
        request.requester = requester = await session.requester()
        limiter.check("request", request)
        stream = SyncStream(
            sync,
            await reader.read(request, requester),
            lambda body: socket.send(frame_of(body)),
            is_congested=lambda: socket.is_congested,
            fail=socket.refuse,
        )
        opened = SocketReader(
            stream, socket, lambda: reader.note_presence(request, requester.user_id), session
        )
        await opened.open()
        return opened

    return open_reader
