"""Long bodies, both ways: as they arrive and as they leave, never whole in memory.

uvicorn stops reading from the socket while nobody asks for more, and `send` waits while the
client does not take what was written: both directions go at the pace of the slower side.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from tidings.protocol.errors import BodyCutShort, TooLarge
from tidings.server.http.asgi import Receive, Send, body_of
from tidings.server.http.request import Headers, Request, Response

PATIENCE_S = 60.0
"""How long a client may send nothing, or take nothing, before it is given up."""


async def body_chunks(receive: Receive, bytes_max: int) -> AsyncIterator[bytes]:
    """The body of a request; raises TooLarge, and BodyCutShort when its end does not come."""
    size, more = 0, True
    while more:
        try:
            async with asyncio.timeout(PATIENCE_S):
                message = await receive()
        except TimeoutError:
            raise BodyCutShort("The rest of the body did not come") from None
        if message["type"] != "http.request":
            raise BodyCutShort("The connection was lost before the end of the body")
        chunk, more = body_of(message), bool(message.get("more_body"))
        size += len(chunk)
        if size > bytes_max:
            raise TooLarge(f"The body may be at most {bytes_max} bytes long")
        if chunk:
            yield chunk


async def send_stream(send: Send, request: Request, response: Response, headers: Headers) -> None:
    """Send an answer with a long body; one that breaks off ends the connection, as it must."""
    stream = response.stream
    if stream is None:
        return
    async with aclosing(stream):
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if request.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        async for chunk in stream:
            if request.lost.is_lost:
                return
            async with asyncio.timeout(PATIENCE_S):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
