"""Where the server goes when others say where to."""

import asyncio
from collections.abc import Mapping

import httpcore
import pytest

from tidings.server.services.outgoing import (
    CheckedNetwork,
    Outgoing,
    OutgoingError,
    Sought,
    resolve,
)

PUBLIC, OTHER = "93.184.216.34", "93.184.216.35"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


class Internet(httpcore.AsyncNetworkBackend):
    """Names, and what answers at addresses."""

    def __init__(self, names: Mapping[str, list[str]], answers: Mapping[str, bytes]) -> None:
        self.names = {name: list(addresses) for name, addresses in names.items()}
        self.answers = answers
        self.called: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        if host not in self.names:
            raise OSError("no such name")
        return self.names[host]

    async def connect_tcp(self, host, port, *_args, **_kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN201
        self.called.append((host, port))
        if host not in self.answers:
            raise httpcore.ConnectError("nobody there")
        return httpcore.AsyncMockStream([self.answers[host]])


async def fetch(internet: Internet, url: str, *, loopback: bool = False, most: int = 100) -> bytes:
    network = CheckedNetwork(internet.resolve, internet, is_loopback_allowed=loopback)
    outgoing = Outgoing(network)
    try:
        return (await outgoing.fetch(Sought(url, "*/*", most), 5)).body
    finally:
        await outgoing.close()


async def test_the_connection_goes_to_the_checked_address() -> None:
    internet = Internet({"good.test": [PUBLIC]}, {PUBLIC: PAGE})
    assert await fetch(internet, "http://good.test:8080/x") == b"hello"
    assert internet.called == [(PUBLIC, 8080)]


async def test_another_address_is_tried() -> None:
    internet = Internet({"good.test": [OTHER, PUBLIC]}, {PUBLIC: PAGE})
    assert await fetch(internet, "http://good.test/") == b"hello"


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.1.2.3"], ["169.254.169.254"], ["::1"], ["fe80::1"], ["::ffff:10.0.0.1"],
     [PUBLIC, "127.0.0.1"], []],
)  # fmt: skip
async def test_names_that_lead_inside(addresses: list[str]) -> None:
    internet = Internet({"evil.test": addresses}, {PUBLIC: PAGE, "127.0.0.1": PAGE})
    with pytest.raises(OutgoingError):
        await fetch(internet, "http://evil.test/")
    assert internet.called == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "127.1", "2130706433", "0x7f000001", "017700000001", "localhost",
     "127。0。0。1", "[::ffff:127.0.0.1]"],
)  # fmt: skip
async def test_other_ways_to_write_this_machine(host: str) -> None:
    internet = Internet({}, {"127.0.0.1": PAGE, "::1": PAGE, "::ffff:127.0.0.1": PAGE})
    internet.resolve = resolve  # type: ignore[method-assign]
    with pytest.raises(OutgoingError):
        await fetch(internet, f"http://{host}/")
    assert internet.called == []


@pytest.mark.parametrize(
    "location",
    ["http://inside.test/", "http://127.0.0.1/", "//inside.test/x", "file:///etc/passwd",
     "gopher://good.test/", "http://u:p@good.test/", ""],
)  # fmt: skip
async def test_redirects_are_checked_too(location: str) -> None:
    names = {"good.test": [PUBLIC], "inside.test": ["10.0.0.1"], "127.0.0.1": ["127.0.0.1"]}
    internet = Internet(names, {PUBLIC: redirect(location), "10.0.0.1": PAGE, "127.0.0.1": PAGE})
    with pytest.raises(OutgoingError):
        await fetch(internet, "http://good.test/")
    assert {address for address, _ in internet.called} == {PUBLIC}


async def test_a_redirect_is_followed() -> None:
    names = {"good.test": [OTHER], "better.test": [PUBLIC]}
    internet = Internet(names, {OTHER: redirect("http://better.test/"), PUBLIC: PAGE})
    assert await fetch(internet, "http://good.test/") == b"hello"


async def test_redirects_end() -> None:
    internet = Internet({"good.test": [PUBLIC]}, {PUBLIC: redirect("/again")})
    with pytest.raises(OutgoingError, match="too many"):
        await fetch(internet, "http://good.test/")
    assert len(internet.called) == 6


async def test_a_name_that_changes_its_mind_is_resolved_once_for_each_connection() -> None:
    internet = Internet({"rebind.test": [PUBLIC]}, {PUBLIC: PAGE, "127.0.0.1": PAGE})
    asked = 0

    async def rebinding(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return [PUBLIC] if asked == 1 else ["127.0.0.1"]

    internet.resolve = rebinding  # type: ignore[method-assign]
    assert await fetch(internet, "http://rebind.test/") == b"hello"
    assert (asked, internet.called) == (1, [(PUBLIC, 80)])


@pytest.mark.parametrize(
    "url", ["ftp://good.test/", "file:///etc/passwd", "http://", "http://u@good.test/", "good.test",
            "http://good.test/" + "x" * 3000, "http://[::1", "javascript:alert(1)"]
)  # fmt: skip
async def test_what_is_no_page(url: str) -> None:
    internet = Internet({"good.test": [PUBLIC]}, {PUBLIC: PAGE})
    with pytest.raises(OutgoingError):
        await fetch(internet, url)
    assert internet.called == []


async def test_no_more_is_read_than_is_wanted() -> None:
    internet = Internet({"good.test": [PUBLIC]}, {PUBLIC: PAGE})
    assert await fetch(internet, "http://good.test/", most=3) == b"hel"


async def test_this_machine_may_be_called_where_that_is_allowed() -> None:
    internet = Internet({"here.test": ["127.0.0.1"], "lan.test": ["10.0.0.1"]}, {"127.0.0.1": PAGE})
    assert await fetch(internet, "http://here.test/", loopback=True) == b"hello"
    with pytest.raises(OutgoingError):
        await fetch(internet, "http://lan.test/", loopback=True)


async def test_a_server_that_does_not_answer() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    internet = Internet({}, {})
    network = CheckedNetwork(never, internet, is_loopback_allowed=False)
    with pytest.raises(OutgoingError, match="too long"):
        await Outgoing(network).fetch(Sought("http://slow.test/", "*/*", 1), 0.05)
