"""The least a web server can do: one route, a constant JSON answer of an event id."""

BODY = b'{"event_id":"$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def rsgi(scope, protocol):
    protocol.response_bytes(200, [("content-type", "application/json")], BODY)


def starlette_app():
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    async def answer(request):
        return Response(BODY, media_type="application/json")

    return Starlette(routes=[Route("/", answer)])


def litestar_app():
    from litestar import Litestar, Response, get

    @get("/")
    async def answer() -> Response[bytes]:
        return Response(BODY, media_type="application/json")

    return Litestar([answer], openapi_config=None)


def aiohttp_main(port: int) -> None:
    import uvloop
    from aiohttp import web

    async def answer(request):
        return web.Response(body=BODY, content_type="application/json")

    app = web.Application()
    app.router.add_get("/", answer)
    web.run_app(
        app, host="127.0.0.1", port=port, loop=uvloop.new_event_loop(), access_log=None, print=None
    )


def protocol_main(port: int) -> None:
    """A bare asyncio.Protocol with httptools: what Python itself allows."""
    import asyncio

    import httptools
    import uvloop

    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % len(BODY)
    ) + BODY

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data):
            self.parser.feed_data(data)

        def on_url(self, url):
            self.url = url

        def on_message_complete(self):
            self.transport.write(answer)

    async def serve():
        server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())


if __name__ == "__main__":
    import sys

    {"aiohttp": aiohttp_main, "protocol": protocol_main}[sys.argv[1]](int(sys.argv[2]))
