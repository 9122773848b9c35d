import pytest

from tests.homeserver import Homeserver
from tidings.client import content, rooms
from tidings.client.errors import NotFound
from tidings.client.history import PageQuery, get_event, walk_back
from tidings.client.messages import latest_in_thread, mark_read, redact, send
from tidings.client.state import content_of
from tidings.protocol.events import JsonObject

MESSAGES: JsonObject = {"types": ["m.room.message"]}


async def test_a_transaction_is_carried_out_once(server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    first = await send(alice, room_id, content.text("one"), "key/1")
    assert await send(alice, room_id, content.text("two"), "key/1") == first
    event = await get_event(alice, room_id, first)
    assert content_of(event)["body"] == "one"


async def test_history_is_read_back_page_by_page(server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    for number in range(7):
        await send(alice, room_id, content.text(str(number)))
    query = PageQuery(room_id, filter=MESSAGES, limit=3)
    read = [content_of(event)["body"] async for event in walk_back(alice, query)]
    assert read == ["6", "5", "4", "3", "2", "1", "0"]


async def test_a_redacted_message_says_nothing_more(server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    event_id = await send(alice, room_id, content.text("secret"))
    await redact(alice, room_id, event_id, "a slip")
    assert content_of(await get_event(alice, room_id, event_id)) == {}


async def test_a_thread_knows_its_latest(server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    root = await send(alice, room_id, content.text("root"))
    assert await latest_in_thread(alice, room_id, root) == root
    reply = await send(alice, room_id, content.in_thread(content.text("a"), root))
    assert await latest_in_thread(alice, room_id, root) == reply


async def test_events_one_may_not_see_are_not_there(server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    event_id = await send(alice, room_id, content.text("for us"))
    with pytest.raises(NotFound):
        await get_event(bob, room_id, event_id)
    await mark_read(alice, room_id, event_id)
