import asyncio
from urllib.parse import quote

from tests.api.chat import create_room, done, sync
from tests.api.server import ApiServer, FakeClock, Person


async def states(viewer: Person, since: str) -> list[str]:
    """What a waiting sync is told of others."""
    query: dict[str, str | int] = {"timeout": 5_000, "set_presence": "offline"}
    synced = await sync(viewer, since, **query)
    events = synced.get("presence", {}).get("events", [])
    return [event["content"]["presence"] for event in events if event["sender"] != viewer.user_id]


async def test_changes_are_gathered_and_told_to_who_waits(db_url: str) -> None:
    clock = FakeClock()
    server = await ApiServer.start(db_url, clock, presence={"flush_ms": 20})
    try:
        alice, bob = await server.user("alice"), await server.user("bob")
        await create_room(alice, bob)
        since = (await sync(alice, set_presence="offline"))["next_batch"]
        path = f"/presence/{quote(bob.user_id)}/status"
        waiting = asyncio.create_task(states(alice, since))
        for state in ("offline", "unavailable", "online"):
            await done(bob.put(path, {"presence": state}))
        assert await waiting == ["online"]
    finally:
        await server.close()


async def test_who_has_gone_is_told_of(db_url: str) -> None:
    clock = FakeClock()
    server = await ApiServer.start(db_url, clock, presence={"flush_ms": 20})
    try:
        alice, bob = await server.user("alice"), await server.user("bob")
        await create_room(alice, bob)
        since = (await sync(alice, set_presence="offline"))["next_batch"]
        await sync(bob)
        assert await states(alice, since) == ["online"]
        since = (await sync(alice, set_presence="offline"))["next_batch"]
        waiting = asyncio.create_task(states(alice, since))
        clock.advance(60_000)
        await sync(alice)  # something changes, so the timers are looked at
        assert await waiting == ["offline"]
    finally:
        await server.close()
