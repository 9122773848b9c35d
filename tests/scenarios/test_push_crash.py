"""A server that is killed in the middle of pushing: nothing is lost, little is repeated."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from tests.api.chat import create_room, done, send
from tests.api.gateway import Gateway
from tests.api.server import PASSWORD, Person
from tests.homeserver import ServerProcess
from tidings.server.services.push_outbox import AT_ONCE

KILLS = 3
MESSAGES = 25


@pytest.fixture
async def gateway() -> AsyncGenerator[Gateway, None]:
    gateway = Gateway()
    await gateway.start()
    yield gateway
    await gateway.stop()


async def user(http: httpx.AsyncClient, name: str) -> Person:
    body = {"username": name, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    answer = await http.post("/_matrix/client/v3/register", json=body)
    assert answer.status_code == 200, answer.text
    return Person(http, answer.json())


async def test_a_killed_server_loses_no_push(tmp_path: Path, gateway: Gateway) -> None:
    process = ServerProcess(tmp_path / "data")
    await asyncio.to_thread(process.start)
    sent: list[str] = []
    try:
        async with httpx.AsyncClient(base_url=process.base_url) as http:
            alice, bob = await user(http, "alice"), await user(http, "bob")
            room_id = await create_room(alice, bob)
            pusher = {
                "kind": "http", "app_id": "app", "pushkey": "key", "app_display_name": "App",
                "device_display_name": "Phone", "lang": "en", "data": {"url": gateway.url},
            }  # fmt: skip
            await done(bob.post("/pushers/set", pusher))
            gateway.stall_s = 0.01
            for _ in range(KILLS):
                sent += [await send(alice, room_id, "hello") for _ in range(MESSAGES)]
                process.kill()
                await asyncio.to_thread(process.start)
            await gateway.wait_until(
                lambda: set(sent) <= {e.get("event_id") for e in gateway.taken}
            )
    finally:
        process.kill()
    told = [each["event_id"] for each in gateway.taken]
    assert list(dict.fromkeys(told)) == sent
    assert len(told) <= len(sent) + KILLS * AT_ONCE
