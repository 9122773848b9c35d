import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from tests.api.media import V1, fetched, files_of
from tests.api.pictures import picture
from tests.api.server import ApiServer, Person, problem

StartServer = Callable[..., Awaitable[ApiServer]]
PICTURE = picture(6, 4)


class Site:
    """A web site on this machine."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split()[1]
        self.asked.append(path)
        kind, body = self.pages.get(path, ("", b""))
        status = "200 OK" if kind else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    def page(self, path: str, html: str) -> None:
        self.pages[path] = ("text/html; charset=utf-8", html.encode())


@pytest.fixture
async def site() -> AsyncGenerator[Site, None]:
    site = Site()
    listening = await asyncio.start_server(site.answer, "127.0.0.1", 0)
    site.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield site


@pytest.fixture
async def server(start_server: StartServer) -> ApiServer:
    return await start_server(previews={"enabled": True, "loopback": True})


async def preview(person: Person, url: str) -> dict[str, object]:
    answer = await person.get(f"{V1}/preview_url", url=url)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_a_page_with_its_picture(server: ApiServer, site: Site) -> None:
    alice = await server.user("alice")
    site.page("/post", "<title>Post</title><meta property='og:image' content='/dot.png'>")
    site.pages["/dot.png"] = ("image/png", PICTURE)
    found = await preview(alice, f"{site.url}/post#part")
    uri = str(found.pop("og:image"))
    assert found == {
        "og:title": "Post", "og:image:type": "image/png", "og:image:width": 6,
        "og:image:height": 4, "matrix:image:size": len(PICTURE),
    }  # fmt: skip
    assert (await fetched(alice, uri.removeprefix("mxc://"))).content == PICTURE
    old = await alice.get("/_matrix/media/v3/preview_url", url=f"{site.url}/post")
    assert old.json()["og:image"] == uri


async def test_a_page_is_fetched_once(server: ApiServer, site: Site) -> None:
    alice = await server.user("alice")
    site.page("/", "<title>One</title>")
    both = await asyncio.gather(*(preview(alice, f"{site.url}/") for _ in range(2)))
    assert both == [{"og:title": "One"}] * 2
    assert site.asked == ["/"]
    site.page("/", "<title>Two</title>")
    server.clock.advance(3_600_000)
    assert await preview(alice, f"{site.url}/") == {"og:title": "Two"}


async def test_what_is_linked_may_be_a_picture(server: ApiServer, site: Site) -> None:
    alice = await server.user("alice")
    site.pages["/dot"] = ("image/png", PICTURE)
    assert (await preview(alice, f"{site.url}/dot"))["og:image:width"] == 6


async def test_other_content_has_no_preview(server: ApiServer, site: Site) -> None:
    alice = await server.user("alice")
    site.pages["/x.zip"] = ("application/zip", b"<title>No</title>")
    assert await preview(alice, f"{site.url}/x.zip") == {}


async def test_a_picture_that_is_none_is_left_out(server: ApiServer, site: Site) -> None:
    alice = await server.user("alice")
    for number, content in enumerate((b"<svg/>", b"", PICTURE[:30])):
        site.pages["/bad.png"] = ("image/png", content)
        site.page(f"/{number}", "<title>T</title><meta property='og:image' content='bad.png'>")
        assert await preview(alice, f"{site.url}/{number}") == {"og:title": "T"}
    site.page("/in", "<title>T</title><meta property='og:image' content='http://10.0.0.1/x'>")
    assert await preview(alice, f"{site.url}/in") == {"og:title": "T"}
    assert files_of(server) == []


async def test_a_page_that_cannot_be_fetched(server: ApiServer, site: Site) -> None:
    alice = await server.user("alice")
    for _ in range(2):
        answer = await alice.get(f"{V1}/preview_url", url=f"{site.url}/gone")
        assert problem(answer) == (502, "M_UNKNOWN")
    assert site.asked == ["/gone"]


async def test_who_may_ask(server: ApiServer, site: Site) -> None:
    guest = await server.guest()
    nobody = await server.nobody.get(f"{V1}/preview_url", url=site.url)
    assert problem(nobody) == (401, "M_MISSING_TOKEN")
    asked = await guest.get(f"{V1}/preview_url", url=site.url)
    assert problem(asked) == (403, "M_GUEST_ACCESS_FORBIDDEN")
    assert site.asked == []


@pytest.mark.parametrize("url", ["", "x", "ftp://a/", "http://", "http://x@y/"])
async def test_what_is_no_address(server: ApiServer, url: str) -> None:
    alice = await server.user("alice")
    assert problem(await alice.get(f"{V1}/preview_url", url=url)) == (400, "M_INVALID_PARAM")
    assert problem(await alice.get(f"{V1}/preview_url")) == (400, "M_MISSING_PARAM")


async def test_this_machine_is_not_looked_at(start_server: StartServer, site: Site) -> None:
    server = await start_server(previews={"enabled": True})
    alice = await server.user("alice")
    for url in (site.url, site.url.replace("127.0.0.1", "localhost")):
        answer = await alice.get(f"{V1}/preview_url", url=url)
        assert problem(answer) == (502, "M_UNKNOWN")
    assert site.asked == []


async def test_previews_are_off_unless_wanted(start_server: StartServer, site: Site) -> None:
    server = await start_server(previews={"loopback": True})
    alice = await server.user("alice")
    answer = await alice.get(f"{V1}/preview_url", url=site.url)
    assert problem(answer) == (404, "M_NOT_FOUND")
    assert site.asked == []
