from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import create_room, done, send, sync
from tests.api.server import ApiServer, Person, problem

Starter = Callable[..., Awaitable[ApiServer]]
MINUTE_MS = 60_000


def status_path(person: Person) -> str:
    return f"/presence/{quote(person.user_id, safe='')}/status"


async def put(person: Person, presence: str, **more: object) -> None:
    await done(person.put(status_path(person), {"presence": presence, **more}))


async def look(viewer: Person, person: Person) -> str:
    state: str = (await done(viewer.get(status_path(person))))["presence"]
    return state


async def publish(server: ApiServer) -> None:
    """What the worker does when its time has come."""
    server.server.presence_tracker.expire()
    await server.server.presence_tracker.flush()


async def told(person: Person, since: str | None = None) -> dict[str, Any]:
    """The presence that a sync tells, by user; the sync is no sign of life."""
    synced = await sync(person, since, set_presence="offline")
    events = synced.get("presence", {}).get("events", [])
    return {event["sender"]: event["content"] for event in events}


async def acquaintances(server: ApiServer) -> tuple[Person, Person]:
    alice, bob = await server.user("alice"), await server.user("bob")
    await create_room(alice, bob)
    return alice, bob


async def test_a_status_is_set_and_seen(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    since = (await sync(alice, set_presence="offline"))["next_batch"]
    await put(bob, "online", status_msg="Here ☺")
    server.clock.advance(5_000)
    status = await done(alice.get(status_path(bob)))
    assert status == {
        "presence": "online",
        "last_active_ago": 5_000,
        "status_msg": "Here ☺",
        "currently_active": True,
    }
    await publish(server)
    content = (await told(alice, since))[bob.user_id]
    assert content["presence"] == "online"
    assert content["status_msg"] == "Here ☺"
    await put(bob, "unavailable")
    await publish(server)
    content = (await told(alice))[bob.user_id]
    assert content["presence"] == "unavailable"
    assert "status_msg" not in content


async def test_syncing_makes_one_online_and_its_end_offline(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    assert await look(alice, bob) == "offline"
    await sync(bob)
    assert await look(alice, bob) == "online"
    await publish(server)
    server.clock.advance(40_000)
    await publish(server)
    assert await look(alice, bob) == "online"
    since = (await sync(alice, set_presence="offline"))["next_batch"]
    server.clock.advance(10_000)
    await publish(server)
    assert await look(alice, bob) == "offline"
    assert (await told(alice, since))[bob.user_id]["presence"] == "offline"


async def test_who_waits_for_news_stays_for_as_long(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    await sync(bob, timeout=60_000)
    server.clock.advance(100_000)
    await publish(server)
    assert await look(alice, bob) == "online"
    server.clock.advance(10_000)
    await publish(server)
    assert await look(alice, bob) == "offline"


async def test_a_sync_may_say_what_it_is(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    await sync(bob, set_presence="offline")
    assert await look(alice, bob) == "offline"
    await sync(bob, set_presence="unavailable")
    assert await look(alice, bob) == "unavailable"
    await sync(bob, set_presence="online")
    assert await look(alice, bob) == "online"
    await sync(bob, set_presence="unavailable")
    assert await look(alice, bob) == "online"  # the other device is
    assert problem(await bob.get("/sync", set_presence="here")) == (400, "M_INVALID_PARAM")


async def test_who_does_nothing_becomes_unavailable(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    room_id = await create_room(bob)
    await sync(bob)
    for _ in range(10):
        server.clock.advance(31_000)
        await sync(bob)
        await publish(server)
    assert await look(alice, bob) == "unavailable"
    await send(bob, room_id)
    assert await look(alice, bob) == "online"
    status = await done(alice.get(status_path(bob)))
    assert status["last_active_ago"] == 0


async def test_who_says_to_be_unavailable_is_until_they_act(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    room_id = await create_room(bob)
    await sync(bob)
    await put(bob, "unavailable")
    await sync(bob)
    assert await look(alice, bob) == "unavailable"
    await send(bob, room_id)
    assert await look(alice, bob) == "online"
    await put(bob, "offline")
    assert await look(alice, bob) == "offline"
    await sync(bob)
    assert await look(alice, bob) == "online"


async def test_nothing_new_is_published_while_one_stays(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    room_id = await create_room(alice, bob)
    await sync(bob)
    await publish(server)
    await send(bob, room_id)
    since = (await sync(alice, set_presence="offline"))["next_batch"]
    for _ in range(5):
        server.clock.advance(20_000)
        await sync(bob)
        await put(bob, "online")
        await publish(server)
    assert (await sync(alice, since, set_presence="offline"))["next_batch"] == since


async def test_strangers_may_not_look(server: ApiServer) -> None:
    alice, _ = await acquaintances(server)
    carol = await server.user("carol")
    refused = await carol.get(status_path(alice))
    assert problem(refused) == (403, "M_FORBIDDEN")
    unknown = await carol.get("/presence/@nobody:localhost/status")
    assert unknown.json() == refused.json()
    assert await look(carol, carol) == "offline"
    await sync(alice)
    await publish(server)
    assert alice.user_id not in await told(carol)


async def test_one_speaks_for_oneself_only(server: ApiServer) -> None:
    alice, bob = await acquaintances(server)
    refused = await alice.put(status_path(bob), {"presence": "online"})
    assert problem(refused) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, "M_BAD_JSON"),
        ({"presence": "asleep"}, "M_BAD_JSON"),
        ({"presence": "online", "status_msg": 5}, "M_BAD_JSON"),
        ({"presence": "online", "status_msg": "x" * 1001}, "M_INVALID_PARAM"),
        ({"presence": "online", "status_msg": "\0"}, "M_INVALID_PARAM"),
    ],
)
async def test_wrong_bodies_are_refused(server: ApiServer, body: object, errcode: str) -> None:
    alice = await server.user("alice")
    assert problem(await alice.put(status_path(alice), body)) == (400, errcode)


async def test_what_the_last_run_left_is_put_right(start_server: Starter) -> None:
    server = await start_server()
    alice, bob = await acquaintances(server)
    await sync(bob)
    await publish(server)
    since = (await sync(alice, set_presence="offline"))["next_batch"]
    server.clock.advance(10 * MINUTE_MS)
    again = await start_server()
    viewer = again.holding(alice.token)
    assert await look(viewer, bob) != "offline"
    server.clock.advance(MINUTE_MS)
    await publish(again)
    assert await look(viewer, bob) == "offline"
    assert (await told(viewer, since))[bob.user_id]["presence"] == "offline"


async def test_without_presence_nobody_is_online(start_server: Starter) -> None:
    server = await start_server()
    alice, bob = await acquaintances(server)
    await sync(bob)
    await publish(server)
    since = (await sync(alice, set_presence="offline"))["next_batch"]
    without = await start_server(presence={"enabled": False})
    alice, bob = without.holding(alice.token), without.holding(bob.token)
    assert (await told(alice, since))["@bob:localhost"]["presence"] == "offline"
    await sync(bob)
    await done(bob.put("/presence/@bob:localhost/status", {"presence": "online"}))
    await publish(without)
    assert await done(alice.get("/presence/@bob:localhost/status")) == {"presence": "offline"}


async def test_a_process_that_knows_better_puts_it_right(start_server: Starter) -> None:
    """A process that starts takes all who were online for its own, who may be another's."""
    server = await start_server()
    alice, bob = await acquaintances(server)
    await sync(bob)
    await publish(server)
    other = await start_server()
    server.clock.advance(40_000)
    await sync(bob)
    server.clock.advance(10_000)
    await publish(other)
    assert await look(other.holding(alice.token), bob) == "offline"
    await server.server.db.catch_up()
    server.clock.advance(20_000)
    await publish(server)
    await other.server.db.catch_up()
    assert await look(other.holding(alice.token), bob) == "online"
