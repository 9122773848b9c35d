"""The extensions of sliding sync: what it tells beside rooms."""

import asyncio
from typing import Any
from urllib.parse import quote

from tests.api.chat import create_room, done, read, room_path, send, user_path
from tests.api.encryption import one_time_keys, send_to, upload, upload_identity
from tests.api.server import ApiServer, Person, problem
from tests.api.sliding import PATH, Slider, subscription, window

ON = {"enabled": True}


def told(slider: Slider, name: str) -> dict[str, Any]:
    found: dict[str, Any] = slider.answer.get("extensions", {}).get(name, {})
    return found


def types_in(events: list[dict[str, Any]]) -> set[str]:
    return {event["type"] for event in events}


async def follow(person: Person, *names: str) -> Slider:
    slider = Slider(person, all=window())
    slider.extensions = dict.fromkeys(names, ON)
    await slider.slide()
    return slider


async def start_typing(person: Person, room_id: str, *, typing: bool = True) -> None:
    path = f"{room_path(room_id)}/typing/{quote(person.user_id, safe='')}"
    await done(person.put(path, {"typing": typing}))


async def test_account_data(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    everywhere, in_room = (
        f"{user_path(alice)}{at}/account_data" for at in ("", room_path(room_id))
    )
    await done(alice.put(f"{everywhere}/org.one", {"a": 1}))
    await done(alice.put(f"{in_room}/org.two", {"b": 1}))
    slider = await follow(alice, "account_data")
    first = told(slider, "account_data")
    assert {"org.one", "m.push_rules"} <= types_in(first["global"])
    assert types_in(first["rooms"][room_id]) == {"org.two"}
    assert await slider.slide() == {}
    assert told(slider, "account_data") == {}
    waiting = asyncio.create_task(slider.slide(30_000))
    await asyncio.sleep(0.02)
    await done(alice.put(f"{in_room}/org.two", {"b": 2}))
    await waiting
    assert told(slider, "account_data") == {
        "rooms": {room_id: [{"type": "org.two", "content": {"b": 2}}]}
    }
    await done(alice.put(f"{everywhere}/org.one", {"a": 2}))
    await slider.slide()
    assert told(slider, "account_data") == {"global": [{"type": "org.one", "content": {"a": 2}}]}


async def test_account_data_of_a_room_comes_with_the_room(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id, other = await create_room(alice), await create_room(alice)
    path = f"{user_path(alice)}{room_path(room_id)}/account_data/org.x"
    await done(alice.put(path, {"b": 1}))
    slider = Slider(alice, all=window(0))
    slider.extensions = {"account_data": ON}
    assert set(await slider.slide()) == {other}
    assert "rooms" not in told(slider, "account_data")
    await send(alice, room_id)
    assert set(await slider.slide()) == {room_id}
    assert set(told(slider, "account_data")["rooms"]) == {room_id}


async def test_typing(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    slider = await follow(bob, "typing")
    assert told(slider, "typing") == {}
    await start_typing(alice, room_id)
    await slider.slide()
    event = {"type": "m.typing", "content": {"user_ids": [alice.user_id]}}
    assert told(slider, "typing") == {"rooms": {room_id: event}}
    assert told(await follow(bob, "typing"), "typing") == {"rooms": {room_id: event}}
    slider = await follow(bob, "typing")
    await start_typing(alice, room_id, typing=False)
    await slider.slide()
    assert told(slider, "typing")["rooms"][room_id]["content"] == {"user_ids": []}


async def test_receipts(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    first = await send(alice, room_id)
    await read(bob, room_id, first)
    slider = await follow(alice, "receipts")
    receipts = told(slider, "receipts")["rooms"][room_id]
    assert receipts["type"] == "m.receipt"
    assert set(receipts["content"][first]["m.read"]) == {bob.user_id}
    second = await send(alice, room_id)
    await slider.slide()
    await read(bob, room_id, second)
    await slider.slide()
    assert set(told(slider, "receipts")["rooms"][room_id]["content"]) == {second}
    await read(bob, room_id, await send(alice, room_id), "m.read.private")
    await slider.slide()
    assert told(slider, "receipts") == {}


async def test_receipts_on_events_that_are_not_shown_are_left_out(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    old = await send(alice, room_id)
    await read(bob, room_id, old)
    for number in range(6):
        await send(alice, room_id, str(number))
    assert told(await follow(alice, "receipts"), "receipts") == {}
    assert old in told(await follow(bob, "receipts"), "receipts")["rooms"][room_id]["content"]


async def test_an_extension_can_be_for_some_rooms_only(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    listed, subscribed = await create_room(alice, bob), await create_room(alice, bob)
    await send(alice, listed)
    wanted = {subscribed: subscription()}
    for room_id in (listed, subscribed):
        await start_typing(alice, room_id)
    for rule, expected in (
        ({}, {listed, subscribed}),
        ({"lists": []}, {subscribed}),
        ({"rooms": []}, {listed}),
        ({"lists": ["all"], "rooms": []}, {listed}),
        ({"lists": ["*"], "rooms": ["*"]}, {listed, subscribed}),
        ({"lists": [], "rooms": [subscribed]}, {subscribed}),
    ):
        slider = Slider(bob, all=window(0))
        slider.extensions = {"typing": {**ON, **rule}}
        await slider.slide(room_subscriptions=wanted)
        assert set(told(slider, "typing")["rooms"]) == expected, rule


async def test_messages_come_until_they_are_acknowledged(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    slider = await follow(bob, "to_device")
    since = told(slider, "to_device")["next_batch"]
    waiting = asyncio.create_task(slider.slide(30_000))
    await asyncio.sleep(0.02)
    await send_to(alice, bob.user_id, bob.device_id, 1)
    await waiting
    assert [e["content"]["body"] for e in told(slider, "to_device")["events"]] == [1]
    slider.extensions = {"to_device": {**ON, "since": since}}
    await slider.slide()
    answer = told(slider, "to_device")
    assert [e["content"]["body"] for e in answer["events"]] == [1]
    for number in (2, 3):
        await send_to(alice, bob.user_id, bob.device_id, number)
    slider.extensions = {"to_device": {**ON, "since": answer["next_batch"], "limit": 1}}
    await slider.slide()
    answer = told(slider, "to_device")
    assert [e["content"]["body"] for e in answer["events"]] == [2]
    slider.extensions = {"to_device": {**ON, "since": answer["next_batch"]}}
    await slider.slide()
    assert [e["content"]["body"] for e in told(slider, "to_device")["events"]] == [3]
    # Who begins anew gets what has not been acknowledged, and nothing else.
    fresh = await follow(bob, "to_device")
    assert [e["content"]["body"] for e in told(fresh, "to_device")["events"]] == [3]


async def test_tokens_of_messages_must_be_ours(server: ApiServer) -> None:
    bob = await server.user("bob")
    body = {"extensions": {"to_device": {**ON, "since": "yesterday"}}}
    assert problem(await bob.post(PATH, body)) == (400, "M_INVALID_PARAM")


async def test_keys(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await create_room(alice, bob)
    await upload(bob, one_time_keys=one_time_keys("1", "2"))
    slider = await follow(bob, "e2ee")
    first = told(slider, "e2ee")
    assert first["device_one_time_keys_count"] == {"signed_curve25519": 2}
    assert first["device_unused_fallback_key_types"] == []
    assert "device_lists" not in first
    waiting = asyncio.create_task(slider.slide(30_000))
    await asyncio.sleep(0.02)
    await upload_identity(alice)
    await waiting
    assert told(slider, "e2ee")["device_lists"]["changed"] == [alice.user_id]


async def test_who_is_met_and_met_no_more(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    for forget in (False, True):
        slider = await follow(bob, "e2ee")
        room_id = await create_room(alice, bob)
        await slider.slide()
        assert told(slider, "e2ee")["device_lists"]["changed"] == [alice.user_id]
        if forget:
            server.server.feed.reset(server.server.feed.position)
        await done(bob.post(f"{room_path(room_id)}/leave"))
        await slider.slide()
        assert told(slider, "e2ee")["device_lists"]["left"] == [alice.user_id]


async def test_extensions_nobody_knows_are_ignored(server: ApiServer) -> None:
    alice = await server.user("alice")
    body = {"extensions": {"org.example": {"enabled": 5, "since": []}, "typing": {}}}
    assert (await done(alice.post(PATH, body))).get("extensions", {}) == {}
