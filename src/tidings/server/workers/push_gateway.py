"""Push gateways, called by HTTP: at public addresses unless private ones are allowed.

Source: push gateway API, `POST /_matrix/push/v1/notify`.
"""

import asyncio
from functools import cached_property

import httpcore
import httpx
import msgspec

from tidings.server.config import Push
from tidings.server.services.outgoing import CheckedNetwork, resolve

CONNECTIONS_MAX = 64
KEPT_OPEN_MAX = 16
KEPT_OPEN_S = 30.0
ANSWER_BYTES_MAX = 65_536


class GatewayError(Exception):
    """The gateway did not take a notification: refused, out of order, not in time."""


class _Rejected(msgspec.Struct):
    rejected: list[str] = []


_decode = msgspec.json.Decoder(_Rejected).decode
_HEADERS = [(b"Content-Type", b"application/json"), (b"User-Agent", b"Tidings")]


class Gateways:
    """Hands notifications to gateways; connections are kept for a while."""

    def __init__(
        self, network: httpcore.AsyncNetworkBackend, timeout_ms: int, *, https_only: bool
    ) -> None:
        self._network = network
        self._timeout_s = timeout_ms / 1000
        self._https_only = https_only

    @cached_property
    def _pool(self) -> httpcore.AsyncConnectionPool:
        # Made when first needed: reading the certificates takes as long as a hundred messages.
        return httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=KEPT_OPEN_MAX,
            keepalive_expiry=KEPT_OPEN_S,
            network_backend=self._network,
        )

    async def notify(self, url: str, body: bytes) -> list[str]:
        """Have a gateway take a notification; the pushkeys it rejects. Raises GatewayError."""
        if self._https_only and not url.startswith("https://"):
            raise GatewayError("only https is allowed")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(url, body)
        except TimeoutError as error:
            raise GatewayError("no answer in time") from error
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            OSError,
        ) as error:
            raise GatewayError(f"{type(error).__name__}: {error}") from error

    async def _post(self, url: str, body: bytes) -> list[str]:
        async with self._pool.stream("POST", url, headers=_HEADERS, content=body) as answer:
            if not 200 <= answer.status < 300:
                raise GatewayError(f"it answered with {answer.status}")
            try:
                return _decode(await _read(answer)).rejected
            except (msgspec.DecodeError, UnicodeDecodeError):
                return []  # it has taken the notification, whatever it says

    async def close(self) -> None:
        """End the connections."""
        if "_pool" in self.__dict__:
            await self._pool.aclose()


async def _read(answer: httpcore.Response) -> bytes:
    body = b""
    async for piece in answer.aiter_stream():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise GatewayError(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
    return body


def gateways(push: Push) -> Gateways:
    """Gateways as the settings allow them."""
    network: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()
    if not push.private_gateways:
        network = CheckedNetwork(resolve, network, is_loopback_allowed=False)
    return Gateways(network, push.timeout_ms, https_only=not push.private_gateways)
