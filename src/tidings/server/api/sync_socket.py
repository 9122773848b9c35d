"""The sync stream over a WebSocket. Documented in docs/reference/websocket.md."""

from collections.abc import Callable

from tidings.protocol.errors import MissingToken
from tidings.server.api.sync import SyncReader
from tidings.server.http.app import Authenticator, token_of
from tidings.server.http.request import Request
from tidings.server.http.websocket import Opener, Socket, text_frame
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


def opener(sync: Sync, reader: SyncReader, sessions: Authenticator) -> Opener:
    """What to do with a client that wants to be pushed to."""
    frame_of: Callable[[bytes], bytes] = FrameCache().frame_of

    async def open_stream(request: Request, socket: Socket) -> SyncStream:
        token = token_of(request)
        if token is None:
            raise MissingToken("An access token is needed")
        wanted = await reader.read(request, await sessions.requester_of(token))
        stream = SyncStream(
            sync, wanted,
            lambda body: socket.send(frame_of(body)),
            is_congested=lambda: socket.is_congested,
            fail=socket.refuse,
        )  # fmt: skip
        await stream.open()
        return stream

    return open_stream
