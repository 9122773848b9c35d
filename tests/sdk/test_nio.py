"""matrix-nio, as bots use it, against the real server: the whole loop of a chat."""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from nio import (
    AsyncClient,
    AsyncClientConfig,
    JoinResponse,
    MessageDirection,
    RegisterResponse,
    RoomCreateResponse,
    RoomGetEventResponse,
    RoomInviteResponse,
    RoomMessagesResponse,
    RoomMessageText,
    RoomPreset,
    RoomRedactResponse,
    RoomSendResponse,
    RoomTypingResponse,
    SyncResponse,
    UpdateReceiptMarkerResponse,
)

from tests.homeserver import ServerProcess


@pytest.fixture
async def base_url(db_url: str, tmp_path: Path) -> AsyncGenerator[str, None]:
    process = ServerProcess(tmp_path / "data", "--database", db_url)
    await asyncio.to_thread(process.start)
    yield process.base_url
    await asyncio.to_thread(process.stop)


async def registered(base_url: str, name: str) -> AsyncClient:
    client = AsyncClient(base_url, config=AsyncClientConfig(max_timeouts=3))
    answer = await client.register(f"{name}{secrets.token_hex(3)}", "a long password")
    assert isinstance(answer, RegisterResponse)
    return client


async def synced(client: AsyncClient) -> SyncResponse:
    answer = await client.sync(timeout=3000)
    assert isinstance(answer, SyncResponse), answer
    return answer


async def said(client: AsyncClient, room_id: str, content: dict[str, object]) -> str:
    answer = await client.room_send(room_id, "m.room.message", content)
    assert isinstance(answer, RoomSendResponse), answer
    return str(answer.event_id)


@pytest.fixture
async def pair(base_url: str) -> AsyncGenerator[tuple[AsyncClient, AsyncClient, str], None]:
    """Alice and Bob in a room of hers."""
    alice, bob = await registered(base_url, "alice"), await registered(base_url, "bob")
    made = await alice.room_create(name="Nio", preset=RoomPreset.private_chat)
    assert isinstance(made, RoomCreateResponse)
    assert isinstance(await alice.room_invite(made.room_id, bob.user_id), RoomInviteResponse)
    invited = await synced(bob)
    assert made.room_id in invited.rooms.invite
    assert isinstance(await bob.join(made.room_id), JoinResponse)
    await synced(bob)
    await synced(alice)
    yield alice, bob, str(made.room_id)
    await alice.close()
    await bob.close()


Pair = tuple[AsyncClient, AsyncClient, str]


async def test_a_message_arrives(pair: Pair) -> None:
    alice, bob, room_id = pair
    event_id = await said(alice, room_id, {"msgtype": "m.text", "body": "你好"})
    answer = await synced(bob)
    [event] = answer.rooms.join[room_id].timeline.events
    assert isinstance(event, RoomMessageText)
    assert (event.event_id, event.body, event.sender) == (event_id, "你好", alice.user_id)
    assert bob.rooms[room_id].name == "Nio"
    assert set(bob.rooms[room_id].users) == {alice.user_id, bob.user_id}
    assert answer.rooms.join[room_id].unread_notifications.notification_count == 1


async def test_a_long_poll_ends_when_something_is_said(pair: Pair) -> None:
    alice, bob, room_id = pair
    poll = asyncio.create_task(bob.sync(timeout=30_000))
    await asyncio.sleep(0.1)
    await said(alice, room_id, {"msgtype": "m.text", "body": "wake up"})
    answer = await asyncio.wait_for(poll, 10)
    assert answer.rooms.join[room_id].timeline.events[0].body == "wake up"


async def test_receipts_and_typing(pair: Pair) -> None:
    alice, bob, room_id = pair
    event_id = await said(alice, room_id, {"msgtype": "m.text", "body": "read me"})
    await synced(bob)
    moved = await bob.update_receipt_marker(room_id, event_id)
    assert isinstance(moved, UpdateReceiptMarkerResponse)
    assert isinstance(await bob.room_typing(room_id, typing_state=True), RoomTypingResponse)
    await synced(alice)
    receipts = alice.rooms[room_id].threaded_read_receipts[bob.user_id]
    assert receipts["main"].event_id == event_id
    assert alice.rooms[room_id].typing_users == [bob.user_id]
    assert (await synced(bob)).rooms.join[room_id].unread_notifications.notification_count == 0


async def test_an_edit_and_a_redaction(pair: Pair) -> None:
    alice, bob, room_id = pair
    event_id = await said(alice, room_id, {"msgtype": "m.text", "body": "teh"})
    content: dict[str, object] = {
        "msgtype": "m.text",
        "body": "* the",
        "m.new_content": {"msgtype": "m.text", "body": "the"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
    }
    edit_id = await said(alice, room_id, content)
    got = await bob.room_get_event(room_id, event_id)
    assert isinstance(got, RoomGetEventResponse)
    bundled = got.event.source["unsigned"]["m.relations"]["m.replace"]
    assert bundled["event_id"] == edit_id
    assert isinstance(await alice.room_redact(room_id, event_id), RoomRedactResponse)
    again = await bob.room_get_event(room_id, event_id)
    assert isinstance(again, RoomGetEventResponse)
    assert again.event.source["content"] == {}


async def test_history_is_paged_to_the_beginning(pair: Pair) -> None:
    alice, bob, room_id = pair
    sent = [
        await said(alice, room_id, {"msgtype": "m.text", "body": str(number)})
        for number in range(25)
    ]
    seen: list[str] = []
    token = (await synced(bob)).next_batch
    while token:
        page = await bob.room_messages(room_id, token, limit=10, direction=MessageDirection.back)
        assert isinstance(page, RoomMessagesResponse)
        seen += [e.event_id for e in page.chunk if isinstance(e, RoomMessageText)]
        token = page.end
    assert seen[::-1] == sent


async def test_kicked_banned_and_gone(pair: Pair) -> None:
    alice, bob, room_id = pair
    await alice.room_kick(room_id, bob.user_id, reason="a test")
    assert room_id in (await synced(bob)).rooms.leave
    refused = await bob.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "no"})
    assert refused.status_code == "M_FORBIDDEN"
    await alice.room_ban(room_id, bob.user_id)
    assert (await bob.join(room_id)).status_code == "M_FORBIDDEN"
    await alice.room_unban(room_id, bob.user_id)
    await alice.room_invite(room_id, bob.user_id)
    assert isinstance(await bob.join(room_id), JoinResponse)
