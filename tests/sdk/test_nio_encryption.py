"""matrix-nio with vodozemac against the real server: two people, two devices each, encrypted."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
from nio import (
    AsyncClient,
    AsyncClientConfig,
    JoinResponse,
    KeysQueryResponse,
    KeysUploadResponse,
    LoginResponse,
    RegisterResponse,
    RoomCreateResponse,
    RoomMessageText,
    RoomSendResponse,
    SyncResponse,
)

from tests.homeserver import ServerProcess

pytest.importorskip("vodozemac", reason="NO VODOZEMAC: pip install matrix-nio[e2e]")
PASSWORD = "a long password"
ENCRYPTION = {
    "type": "m.room.encryption",
    "state_key": "",
    "content": {"algorithm": "m.megolm.v1.aes-sha2"},
}
Device = Callable[[str], Awaitable[AsyncClient]]


@pytest.fixture
async def base_url(db_url: str, tmp_path: Path) -> AsyncGenerator[str, None]:
    process = ServerProcess(tmp_path / "data", "--database", db_url)
    await asyncio.to_thread(process.start)
    yield process.base_url
    await asyncio.to_thread(process.stop)


@pytest.fixture
async def device(base_url: str, tmp_path: Path) -> AsyncGenerator[Device, None]:
    """Logs a name in on another device; the first time it is registered."""
    names: dict[str, str] = {}
    clients: list[AsyncClient] = []

    async def log_in(name: str) -> AsyncClient:
        store = tmp_path / f"device{len(clients)}"
        store.mkdir()
        config = AsyncClientConfig(max_timeouts=3, encryption_enabled=True, store_sync_tokens=True)
        full_name = names.get(name, f"{name}{secrets.token_hex(3)}")
        client = AsyncClient(base_url, full_name, store_path=str(store), config=config)
        clients.append(client)
        if name in names:
            answer = await client.login(PASSWORD)
            assert isinstance(answer, LoginResponse), answer
        else:
            registered = await client.register(full_name, PASSWORD)
            assert isinstance(registered, RegisterResponse), registered
            client.load_store()
        names[name] = client.user_id
        await follow(client)
        return client

    yield log_in
    for client in clients:
        await client.close()


async def follow(client: AsyncClient) -> SyncResponse:
    """One turn of a client's loop: sync, then whatever its cryptography asks for."""
    answer = await client.sync(timeout=500)
    assert isinstance(answer, SyncResponse), answer
    if client.should_upload_keys:
        assert isinstance(await client.keys_upload(), KeysUploadResponse)
    if client.should_query_keys:
        assert isinstance(await client.keys_query(), KeysQueryResponse)
    if client.should_claim_keys:
        await client.keys_claim(client.get_users_for_key_claiming())
    await client.send_to_device_messages()
    return answer


async def say(client: AsyncClient, room_id: str, body: str) -> None:
    content = {"msgtype": "m.text", "body": body}
    answer = await client.room_send(
        room_id, "m.room.message", content, ignore_unverified_devices=True
    )
    assert isinstance(answer, RoomSendResponse), answer


async def read(client: AsyncClient, room_id: str) -> list[tuple[str, bool]]:
    """The texts that a sync brings, and whether each came encrypted."""
    answer = await follow(client)
    room = answer.rooms.join.get(room_id)
    events = room.timeline.events if room else []
    return [(e.body, e.decrypted) for e in events if isinstance(e, RoomMessageText)]


async def test_two_people_talk_encrypted_on_two_devices_each(device: Device) -> None:
    desk, phone = await device("alice"), await device("alice")
    bob, tablet = await device("bob"), await device("bob")
    made = await desk.room_create(invite=[bob.user_id], initial_state=[ENCRYPTION])
    assert isinstance(made, RoomCreateResponse), made
    assert isinstance(await bob.join(made.room_id), JoinResponse)
    everybody = (desk, phone, bob, tablet)
    for _ in range(2):
        for client in everybody:
            await follow(client)
    for sender in everybody:
        body = f"from {sender.device_id}"
        await say(sender, made.room_id, body)
        for reader in everybody:
            if reader is not sender:
                assert await read(reader, made.room_id) == [(body, True)]
        await follow(sender)
    # A device that comes later is told of and gets what is said from then on.
    late = await device("bob")
    for client in (*everybody, late):
        await follow(client)
    desk.invalidate_outbound_session(made.room_id)
    await say(desk, made.room_id, "welcome")
    assert ("welcome", True) in await read(late, made.room_id)
