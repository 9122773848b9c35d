"""Pushes to a real gateway: what is told, when, in which order, and what comes of failures."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import (
    create_room,
    done,
    in_thread,
    mentioning,
    read,
    redact,
    room_path,
    send,
    user_path,
)
from tests.api.gateway import Gateway
from tests.api.server import ApiServer, Person

Starter = Callable[..., Awaitable[ApiServer]]
PUSH = {"private_gateways": True, "retry_first_ms": 30, "retry_max_ms": 100, "timeout_ms": 400}


@pytest.fixture
async def gateway() -> AsyncGenerator[Gateway, None]:
    gateway = Gateway()
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def server(start_server: Starter) -> ApiServer:
    return await start_server(push=PUSH)


async def set_pusher(
    person: Person, gateway: Gateway, pushkey: str = "key", **data: object
) -> None:
    pusher = {
        "kind": "http", "app_id": "app", "pushkey": pushkey, "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en", "data": {"url": gateway.url, **data},
    }  # fmt: skip
    await done(person.post("/pushers/set", pusher))


async def people(server: ApiServer, gateway: Gateway) -> tuple[Person, Person, str]:
    alice, bob = await server.user("alice"), await server.user("bob")
    name = {"displayname": "Alice"}
    await done(alice.put(f"/profile/{quote(alice.user_id)}/displayname", name))
    room_id = await create_room(alice, bob, name="Garden", room_alias_name="garden")
    await set_pusher(bob, gateway)
    return alice, bob, room_id


async def wait_for_queue(server: ApiServer) -> None:
    """Until all that was sent is queued: what was sent last is what is queued last."""
    inside = server.server

    async def newest() -> int | None:
        async with inside.db.read() as tx:
            return await tx.find_value(int, "SELECT max(position) FROM pushes")

    async with asyncio.timeout(10):
        while await newest() != inside.feed.position:  # noqa: ASYNC110 - a worker's doing
            await asyncio.sleep(0.02)


def events(notifications: list[dict[str, Any]]) -> list[str]:
    return [each["event_id"] for each in notifications if "event_id" in each]


def badge(notification: dict[str, Any]) -> int | None:
    count: int | None = notification["counts"].get("unread")
    return count


async def test_a_message_is_told_in_full(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    await set_pusher(bob, gateway, custom={"a": 1})
    event_id = await send(alice, room_id, "hello")
    (told,) = await gateway.wait_for(1)
    assert told == {
        "event_id": event_id,
        "room_id": room_id,
        "type": "m.room.message",
        "sender": alice.user_id,
        "sender_display_name": "Alice",
        "room_name": "Garden",
        "room_alias": "#garden:localhost",
        "content": {"msgtype": "m.text", "body": "hello"},
        "prio": "high",
        "counts": {"unread": 1},
        "devices": [
            {
                "app_id": "app",
                "pushkey": "key",
                "pushkey_ts": server.clock() // 1000,
                "data": {"custom": {"a": 1}},
                "tweaks": {"sound": "default"},
            }
        ],
    }


async def test_only_the_event_is_named_if_so_wished(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    await set_pusher(bob, gateway, format="event_id_only")
    event_id = await send(alice, room_id)
    (told,) = await gateway.wait_for(1)
    assert set(told) == {"event_id", "room_id", "counts", "devices", "prio"}
    assert told["event_id"] == event_id
    assert told["devices"][0]["data"] == {"format": "event_id_only"}


async def test_tweaks_and_priority_follow_the_rules(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    await done((await server.user("carol")).post(f"{room_path(room_id)}/join"))
    tweaks = [{"set_tweak": "flash", "value": "red"}]
    rule = {"pattern": "cake", "actions": ["notify", *tweaks]}
    await send(alice, room_id)
    await send(alice, room_id, **mentioning(bob))
    await gateway.wait_for(2)
    await done(bob.put("/pushrules/global/content/cake", rule))
    await send(alice, room_id, "cake")
    told = await gateway.wait_for(3)
    assert [each["devices"][0].get("tweaks") for each in told] == [
        None,
        {"sound": "default", "highlight": True},
        {"flash": "red"},
    ]
    assert [each["prio"] for each in told] == ["low", "high", "low"]


async def test_what_does_not_notify_is_not_pushed(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    other = await create_room(alice, bob)
    await done(bob.put(f"/pushrules/global/room/{quote(other, safe='')}", {"actions": []}))
    carol = await server.user("carol")
    ignored: dict[str, object] = {"ignored_users": {carol.user_id: {}}}
    await done(bob.put(f"{user_path(bob)}/account_data/m.ignored_user_list", ignored))
    await done(carol.post(f"{room_path(room_id)}/join"))
    await send(bob, room_id)
    await send(alice, other)
    await send(carol, room_id)
    await send(alice, room_id, msgtype="m.notice")
    last = await send(alice, room_id)
    assert events(await gateway.wait_for(1)) == [last]


async def test_an_invitation_is_pushed(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, _ = await people(server, gateway)
    room_id = await create_room(alice, preset="private_chat")
    await done(alice.post(f"{room_path(room_id)}/invite", {"user_id": bob.user_id}))
    (told,) = await gateway.wait_for(1)
    assert (told["type"], told["user_is_target"]) == ("m.room.member", True)
    assert told["content"]["membership"] == "invite"


async def test_the_badge_counts_all_rooms_and_is_cleared(
    server: ApiServer, gateway: Gateway
) -> None:
    alice, bob, room_id = await people(server, gateway)
    other = await create_room(alice, bob)
    first = await send(alice, room_id)
    await gateway.wait_for(1)
    reply = await send(alice, room_id, **in_thread(first))
    await gateway.wait_for(2)
    second = await send(alice, other)
    assert [badge(each) for each in await gateway.wait_for(3)] == [1, 2, 3]
    await read(bob, other, second)
    await asyncio.sleep(0.1)
    await gateway.wait_for(3)
    await read(bob, room_id, reply)
    cleared = (await gateway.wait_for(4))[-1]
    assert cleared == {"prio": "low", "counts": {"unread": 0}, "devices": cleared["devices"]}
    await read(bob, room_id, await send(bob, room_id))
    await send(alice, room_id)
    assert badge((await gateway.wait_for(5))[-1]) == 1
    await send(bob, room_id)
    assert badge((await gateway.wait_for(6))[-1]) == 0


async def test_what_was_read_or_redacted_meanwhile_is_not_pushed(
    server: ApiServer, gateway: Gateway
) -> None:
    alice, bob, room_id = await people(server, gateway)
    await gateway.stop()
    sent = [await send(alice, room_id, str(number)) for number in range(4)]
    await asyncio.sleep(0.1)
    await read(bob, room_id, sent[1])
    await redact(alice, room_id, sent[2])
    await gateway.start()
    assert events(await gateway.wait_for(1)) == [sent[3]]


async def test_each_pusher_of_each_member_is_told(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    await set_pusher(bob, gateway, "second")
    carol = await server.user("carol")
    await set_pusher(carol, gateway, "carol's")
    await done(carol.post(f"{room_path(room_id)}/join"))
    await send(alice, room_id)
    told = await gateway.wait_for(3)
    keys = sorted(each["devices"][0]["pushkey"] for each in told)
    assert keys == ["carol's", "key", "second"]


async def test_a_pusher_is_not_told_of_what_was_before_it(
    server: ApiServer, gateway: Gateway
) -> None:
    alice, bob, room_id = await people(server, gateway)
    first = await send(alice, room_id)
    await gateway.wait_for(1)
    await set_pusher(bob, gateway, "second")
    second = await send(alice, room_id)
    told = [(each["event_id"], each["devices"][0]["pushkey"]) for each in await gateway.wait_for(3)]
    assert sorted(told) == sorted([(first, "key"), (second, "key"), (second, "second")])


@pytest.mark.parametrize("fault", ["5xx", "timeout", "refused"])
async def test_a_gateway_that_fails_is_tried_again_in_order(
    server: ApiServer, gateway: Gateway, fault: str
) -> None:
    alice, _, room_id = await people(server, gateway)
    if fault == "5xx":
        gateway.failures = 3
    elif fault == "timeout":
        gateway.stall_s = 1.0
    else:
        await gateway.stop()
    sent = [await send(alice, room_id, str(number)) for number in range(15)]
    await asyncio.sleep(0.3)
    gateway.stall_s = 0.0
    if fault == "refused":
        await gateway.start()
    if fault == "timeout":
        # What timed out here had been taken there: at least once, and in order.
        await gateway.wait_until(lambda: events(gateway.taken)[-1:] == sent[-1:])
        assert list(dict.fromkeys(events(gateway.taken))) == sent
    else:
        assert events(await gateway.wait_for(15)) == sent


async def test_rejected_keys_lose_their_pusher(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    await set_pusher(bob, gateway, "good")
    gateway.rejected = {"key"}
    await send(alice, room_id)
    async with asyncio.timeout(10):
        while len((await done(bob.get("/pushers")))["pushers"]) > 1:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    await send(alice, room_id)
    keys = [each["devices"][0]["pushkey"] for each in await gateway.wait_for(3)]
    assert sorted(keys) == ["good", "good", "key"]
    left = (await done(bob.get("/pushers")))["pushers"]
    assert [pusher["pushkey"] for pusher in left] == ["good"]


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"[]", b'{"rejected": "key"}'])
async def test_a_gateway_may_answer_anything(
    server: ApiServer, gateway: Gateway, answer: bytes
) -> None:
    alice, bob, room_id = await people(server, gateway)
    gateway.answer = answer
    sent = [await send(alice, room_id) for _ in range(2)]
    assert events(await gateway.wait_for(2)) == sent
    assert len((await done(bob.get("/pushers")))["pushers"]) == 1


async def test_a_restart_loses_nothing(start_server: Starter, gateway: Gateway) -> None:
    server = await start_server(push=PUSH)
    alice, bob, room_id = await people(server, gateway)
    sent = [await send(alice, room_id, "0")]
    await gateway.wait_for(1)
    await gateway.stop()
    sent += [await send(alice, room_id, str(number)) for number in range(1, 6)]
    await server.server.close()
    await gateway.start()
    again = await start_server(push=PUSH)
    assert events(await gateway.wait_for(6)) == sent
    sent.append(await send(again.holding(alice.token), room_id))
    assert events(await gateway.wait_for(7)) == sent
    await read(again.holding(bob.token), room_id, sent[-1])
    assert badge((await gateway.wait_for(8))[-1]) == 0


async def test_a_pusher_ends_with_its_session(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    await set_pusher(await server.log_in("bob"), gateway, "other device")
    await send(alice, room_id)
    await gateway.wait_for(2)
    await done(bob.post("/logout"))
    await send(alice, room_id)
    assert (await gateway.wait_for(3))[-1]["devices"][0]["pushkey"] == "other device"


async def test_a_gateway_is_not_asked_by_all_at_once(server: ApiServer, gateway: Gateway) -> None:
    alice, bob, room_id = await people(server, gateway)
    for number in range(30):
        await set_pusher(bob, gateway, str(number))
    gateway.stall_s = 0.03
    await send(alice, room_id)
    await gateway.wait_for(31)
    assert 1 < gateway.at_once_most <= 8


async def test_old_news_is_given_up(server: ApiServer, gateway: Gateway) -> None:
    alice, _, room_id = await people(server, gateway)
    await gateway.stop()
    await send(alice, room_id)
    await wait_for_queue(server)
    server.clock.advance(86_400_001)
    last = await send(alice, room_id)
    await gateway.start()
    assert events(await gateway.wait_for(1)) == [last]


async def test_of_many_that_wait_the_newest_are_kept(server: ApiServer, gateway: Gateway) -> None:
    alice, _, room_id = await people(server, gateway)
    await gateway.stop()
    sent = [await send(alice, room_id) for _ in range(105)]
    await wait_for_queue(server)
    await gateway.start()
    assert events(await gateway.wait_for(100)) == sent[5:]


async def test_a_private_gateway_is_not_called(start_server: Starter, gateway: Gateway) -> None:
    """A name may lead to a private address however it looks: it is checked when it is called."""
    allowing = await start_server(push=PUSH)
    alice, _, room_id = await people(allowing, gateway)
    await allowing.server.close()
    strict = await start_server(push={**PUSH, "private_gateways": False})
    await send(strict.holding(alice.token), room_id)
    await asyncio.sleep(0.3)
    assert gateway.asked == []


async def test_of_two_processes_one_pushes(
    db_url: str, start_server: Starter, gateway: Gateway
) -> None:
    if db_url.startswith("sqlite"):
        pytest.skip("SQLite has one process")
    first, second = await start_server(push=PUSH), await start_server(push=PUSH)
    alice, bob, room_id = await people(first, gateway)
    sent = [await send(alice, room_id)]
    sent.append(await send(second.holding(alice.token), room_id))
    assert events(await gateway.wait_for(2)) == sent
    await first.server.close()
    sent.append(await send(second.holding(alice.token), room_id))
    assert events(await gateway.wait_for(3)) == sent
    await read(second.holding(bob.token), room_id, sent[-1])
    assert badge((await gateway.wait_for(4))[-1]) == 0
