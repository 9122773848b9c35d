"""Requests of the server's own to places that others chose.

A name is resolved once, every address it has is checked, and the connection is made to a checked
address: a name that means something else a moment later changes nothing. Redirects are followed
by hand, each as if it were the first. Proxies of the environment are not asked.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import httpcore
import httpx
import msgspec

from tidings.rules.addresses import is_loopback, is_public

REDIRECTS_MAX = 5
ADDRESSES_TRIED_MAX = 3
AT_ONCE = 16
URL_CHARACTERS_MAX = 2_048
USER_AGENT = b"Tidings (link preview; Matrix homeserver)"

Resolver: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
_SocketOption: TypeAlias = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[
    int, int, None, int
]  # fmt: skip


class OutgoingError(Exception):
    """The request could not be made, or was not allowed; the answer does not say which."""


class Sought(msgspec.Struct, frozen=True):
    """What is to be fetched."""

    url: str
    accept: str
    bytes_max: int
    """No more than so much of the body is read."""


class Fetched(msgspec.Struct, frozen=True):
    """What has come."""

    url: str
    """After redirects."""
    content_type: str
    body: bytes
    is_whole: bool


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects only to addresses that were checked."""

    def __init__(
        self,
        resolver: Resolver,
        network: httpcore.AsyncNetworkBackend,
        *,
        is_loopback_allowed: bool,
    ) -> None:
        self._resolve = resolver
        self._network = network
        self._is_loopback_allowed = is_loopback_allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the addresses of the host."""
        addresses = await self.checked_addresses(host, port)
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except httpcore.ConnectError:
                continue
        return await self._network.connect_tcp(
            addresses[-1], port, timeout, local_address, socket_options
        )

    async def sleep(self, seconds: float) -> None:
        """Wait between attempts."""
        await self._network.sleep(seconds)

    async def checked_addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host; raises ConnectError unless all of them may be called."""
        try:
            addresses = await self._resolve(host.strip("[]"), port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"no address: {error}") from error
        if not addresses or not all(map(self._may_call, addresses)):
            raise httpcore.ConnectError("the address must not be called")
        return addresses[:ADDRESSES_TRIED_MAX]

    def _may_call(self, address: str) -> bool:
        return is_public(address) or (self._is_loopback_allowed and is_loopback(address))


class Outgoing:
    """Fetches what others name."""

    def __init__(self, network: CheckedNetwork) -> None:
        self._network = network
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()

    async def fetch(self, sought: Sought, timeout_s: float) -> Fetched:
        """The content of an address; raises OutgoingError for anything but a 200."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(sought)
        except TimeoutError as error:
            raise OutgoingError("it took too long") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise OutgoingError(str(error)) from error

    async def _follow(self, sought: Sought) -> Fetched:
        url = parse_url(sought.url)
        for _ in range(REDIRECTS_MAX + 1):
            fetched = await self._get(url, sought)
            if isinstance(fetched, Fetched):
                return fetched
            url = fetched
        raise OutgoingError("too many redirects")

    async def _get(self, url: httpx.URL, sought: Sought) -> Fetched | httpx.URL:
        """What an address gives, or where it sends us."""
        headers = [
            (b"Host", url.netloc), (b"Accept", sought.accept.encode()),
            (b"Accept-Encoding", b"identity"), (b"User-Agent", USER_AGENT),
        ]  # fmt: skip
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        async with self._open_pool().stream("GET", target, headers=headers) as response:
            found = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in (301, 302, 303, 307, 308):
                return parse_url(found.get(b"location", ""), url)
            if response.status != 200 or found.get(b"content-encoding", "identity") != "identity":
                raise OutgoingError(f"status {response.status}")
            body, is_whole = await _read(response, sought.bytes_max)
            return Fetched(str(url), found.get(b"content-type", ""), body, is_whole)

    def _open_pool(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=httpx.create_ssl_context(), max_connections=AT_ONCE,
                max_keepalive_connections=0, network_backend=self._network,
            )  # fmt: skip
        return self._pool


def parse_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """An address of the web, perhaps relative to another; raises OutgoingError."""
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise OutgoingError("this is no address") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise OutgoingError("this is no address of a page")
    if len(str(url)) > URL_CHARACTERS_MAX:
        raise OutgoingError("the address is too long")
    return url.copy_with(fragment=None)


async def _read(response: httpcore.Response, bytes_max: int) -> tuple[bytes, bool]:
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > bytes_max:
            return bytes(body[:bytes_max]), False
    return bytes(body), True
