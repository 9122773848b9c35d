import httpx
import pytest

from tidings.client.discovery import discover
from tidings.client.errors import BadAnswer, NetworkError
from tidings.client.http import Surroundings

VERSIONS = httpx.Response(200, json={"versions": ["v1.11"]})


class Web(httpx.AsyncBaseTransport):
    """Pages by address; nobody listens anywhere else."""

    def __init__(self, **pages: httpx.Response) -> None:
        self.pages = {address.replace("__", "://"): page for address, page in pages.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        for address, page in self.pages.items():
            if url.startswith(address):
                return page
        raise httpx.ConnectError("nobody there")


def web(pages: dict[str, httpx.Response]) -> Surroundings:
    return Surroundings(transport=Web(**pages))


def well_known(base_url: object) -> httpx.Response:
    return httpx.Response(200, json={"m.homeserver": {"base_url": base_url}})


async def test_a_server_name_is_looked_up() -> None:
    pages = {
        "https://example.org/.well-known": well_known("https://hs.example.org/"),
        "https://hs.example.org/_matrix": VERSIONS,
    }
    for typed in ("example.org", "@ann:example.org", " example.org/ "):
        assert await discover(typed, web(pages)) == "https://hs.example.org"


async def test_without_a_well_known_file_the_name_is_the_address() -> None:
    pages = {
        "https://example.org/.well-known": httpx.Response(404),
        "https://example.org/_matrix": VERSIONS,
    }
    assert await discover("example.org", web(pages)) == "https://example.org"


async def test_a_local_server_may_speak_plain_http() -> None:
    pages = {"http://localhost:8008/_matrix": VERSIONS}
    assert await discover("localhost:8008", web(pages)) == "http://localhost:8008"
    pages = {"http://example.org/_matrix": VERSIONS}
    with pytest.raises(NetworkError):
        await discover("example.org", web(pages))


async def test_an_address_is_taken_as_it_is() -> None:
    pages = {"http://example.org:8008/_matrix": VERSIONS}
    assert await discover("http://example.org:8008", web(pages)) == "http://example.org:8008"


async def test_a_broken_well_known_file_is_told_of() -> None:
    pages = {"https://example.org/": httpx.Response(200, text="<html>")}
    with pytest.raises(BadAnswer, match="well-known"):
        await discover("example.org", web(pages))


async def test_what_is_no_homeserver_is_told_of() -> None:
    pages = {"https://example.org/": httpx.Response(404)}
    with pytest.raises(BadAnswer, match="not a Matrix homeserver"):
        await discover("example.org", web(pages))


async def test_nothing_is_no_server() -> None:
    with pytest.raises(BadAnswer, match="no server was named"):
        await discover(" ")
