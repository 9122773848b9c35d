import asyncio
from collections.abc import AsyncGenerator

import httpcore
import pytest

from tests.api.gateway import Gateway
from tidings.server.config import Push
from tidings.server.services.outgoing import CheckedNetwork
from tidings.server.workers.push_gateway import GatewayError, Gateways, gateways

BODY = b'{"notification": {"devices": [{"pushkey": "key"}]}}'
OPEN = Push(private_gateways=True, timeout_ms=300)


@pytest.fixture
async def gateway() -> AsyncGenerator[Gateway, None]:
    gateway = Gateway()
    await gateway.start()
    yield gateway
    await gateway.stop()


async def notify(called: Gateways, url: str) -> list[str]:
    try:
        return await called.notify(url, BODY)
    finally:
        await called.close()


def leading_to(*addresses: str) -> Gateways:
    """Gateways at names that lead to certain addresses."""

    async def resolve(_host: str, _port: int) -> list[str]:
        return list(addresses)

    network = CheckedNetwork(resolve, httpcore.AnyIOBackend(), is_loopback_allowed=False)
    return Gateways(network, 1_000, https_only=True)


async def test_a_gateway_says_which_keys_it_rejects(gateway: Gateway) -> None:
    gateway.rejected = {"key", "another"}
    assert await notify(gateways(OPEN), gateway.url) == ["key"]


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["10.0.0.1"],
        [],
    ],
)
async def test_a_name_must_not_lead_to_a_private_address(
    gateway: Gateway, addresses: list[str]
) -> None:
    url = f"https://gateway.example:{gateway.port}/_matrix/push/v1/notify"
    with pytest.raises(GatewayError, match="ConnectError"):
        await notify(leading_to(*addresses), url)
    assert gateway.asked == []


async def test_an_address_is_checked_like_a_name(gateway: Gateway) -> None:
    with pytest.raises(GatewayError, match="must not be called"):
        await notify(gateways(Push()), gateway.url.replace("http:", "https:"))


async def test_outside_development_only_https_is_spoken(gateway: Gateway) -> None:
    with pytest.raises(GatewayError, match="https"):
        await notify(gateways(Push()), gateway.url)


async def test_an_answer_must_come_in_time(gateway: Gateway) -> None:
    gateway.stall_s = 1.0
    with pytest.raises(GatewayError, match="in time"):
        await notify(gateways(OPEN), gateway.url)


async def test_an_answer_must_not_be_endless(gateway: Gateway) -> None:
    gateway.answer = b"x" * 70_000
    with pytest.raises(GatewayError, match="more than"):
        await notify(gateways(OPEN), gateway.url)


async def test_a_failure_is_none_taken(gateway: Gateway) -> None:
    gateway.failures = 1
    with pytest.raises(GatewayError, match="502"):
        await notify(gateways(OPEN), gateway.url)


async def test_nobody_may_listen() -> None:
    with pytest.raises(GatewayError):
        await notify(gateways(OPEN), "http://127.0.0.1:1/")


async def test_what_is_no_http_is_no_answer() -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(GatewayError):
        await notify(gateways(OPEN), f"http://127.0.0.1:{port}/")
    server.close()
    await server.wait_closed()
