"""A WebSocket broadcast as each HTTP stack allows it: `GET /go` sends one message to everybody."""

import asyncio
import base64
import hashlib
import re
import struct

PAYLOAD = "x" * 400
FRAME = b"\x81\x7e" + struct.pack("!H", len(PAYLOAD)) + PAYLOAD.encode()

senders = set()
transports = set()


async def _answer(send):
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


async def asgi(scope, receive, send):
    """Plain ASGI: one awaited `send` for each connection and message."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        senders.add(send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        senders.discard(send)
    elif scope["type"] == "http":
        for deliver in list(senders):
            await deliver({"type": "websocket.send", "text": PAYLOAD})
        await _answer(send)


async def rsgi(scope, protocol):
    """Granian's own interface: the same, with one awaitable less for the message's envelope."""
    if scope.proto == "ws":
        connection = await protocol.accept()
        senders.add(connection)
        while (await connection.receive()).kind:
            pass
        senders.discard(connection)
    else:
        for connection in list(senders):
            await connection.send_str(PAYLOAD)
        protocol.response_empty(200, [])


class FrameProtocol(asyncio.Protocol):
    """Uvicorn's seam for a WebSocket implementation of one's own (`ws=`): the transport is ours."""

    def __init__(self, config, server_state, app_state, _loop=None):
        self.transport, self.head = None, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.transport in transports:
            return
        self.head += data
        if b"\r\n\r\n" not in self.head:
            return
        key = re.search(rb"(?i)sec-websocket-key: *(\S+)", self.head)[1]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        transports.add(self.transport)

    def connection_lost(self, exc):
        transports.discard(self.transport)

    def eof_received(self):
        pass


async def frames(scope, receive, send):
    """One frame made once, written to every transport."""
    if scope["type"] == "http":
        for transport in transports:
            transport.write(FRAME)
        await _answer(send)


def serve_frames(port: int) -> None:
    import uvicorn

    uvicorn.run(
        frames,
        port=port,
        loop="uvloop",
        http="httptools",
        ws=FrameProtocol,
        lifespan="off",
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    import sys

    serve_frames(int(sys.argv[1]))
