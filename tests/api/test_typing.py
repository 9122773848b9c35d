from urllib.parse import quote

import pytest

from tests.api.chat import create_room, done, ephemeral, room_path, sync
from tests.api.server import ApiServer, Person, problem


def typing_path(person: Person, room_id: str) -> str:
    return f"{room_path(room_id)}/typing/{quote(person.user_id, safe='')}"


async def start(person: Person, room_id: str, lasts_ms: int | None = 30_000) -> None:
    body = {"typing": True} if lasts_ms is None else {"typing": True, "timeout": lasts_ms}
    await done(person.put(typing_path(person, room_id), body))


async def stop(person: Person, room_id: str) -> None:
    await done(person.put(typing_path(person, room_id), {"typing": False}))


async def typists(person: Person, room_id: str, since: str | None = None) -> list[str] | None:
    """Who types, as a sync says it; None if it says nothing."""
    content = ephemeral(await sync(person, since), room_id, "m.typing")
    return None if content is None else content["user_ids"]


async def test_typing_starts_and_stops(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(alice))["next_batch"]
    await start(bob, room_id)
    assert await typists(alice, room_id, since) == [bob.user_id]
    assert await typists(alice, room_id) == [bob.user_id]
    since = (await sync(alice))["next_batch"]
    await stop(bob, room_id)
    assert await typists(alice, room_id, since) == []
    assert not await typists(alice, room_id)


async def test_to_go_on_wakes_nobody(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    await start(bob, room_id)
    since = (await sync(alice))["next_batch"]
    await start(bob, room_id)
    assert (await sync(alice, since))["next_batch"] == since
    await stop(alice, room_id)
    assert (await sync(alice, since))["next_batch"] == since


@pytest.mark.parametrize(
    ("asked_ms", "lasts_ms"), [(5_000, 5_000), (None, 30_000), (10**9, 120_000)]
)
async def test_typing_ends_by_itself(
    server: ApiServer, asked_ms: int | None, lasts_ms: int
) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    await start(bob, room_id, asked_ms)
    since = (await sync(alice))["next_batch"]
    server.clock.advance(lasts_ms - 1)
    await server.server.typing_notifications.end_expired()
    assert (await sync(alice, since))["next_batch"] == since
    server.clock.advance(1)
    await server.server.typing_notifications.end_expired()
    assert await typists(alice, room_id, since) == []


async def test_going_on_puts_the_end_off(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    await start(bob, room_id, 20_000)
    server.clock.advance(15_000)
    await start(bob, room_id, 20_000)
    since = (await sync(alice))["next_batch"]
    server.clock.advance(15_000)
    await server.server.typing_notifications.end_expired()
    assert (await sync(alice, since))["next_batch"] == since


async def test_going_on_elsewhere_puts_the_end_off(server: ApiServer) -> None:
    """Another process has noted that the user goes on; this one's memory does not know."""
    alice = await server.user("alice")
    room_id = await create_room(alice)
    await start(alice, room_id, 20_000)
    inside = server.server
    server.clock.advance(10_000)
    await start(alice, room_id, 60_000)
    inside.typing.extend(room_id, alice.user_id, server.clock.ms)  # type: ignore[arg-type]
    await inside.typing_notifications.end_expired()
    assert await typists(alice, room_id) == [alice.user_id]
    assert inside.typing.ended(server.clock.ms) == []


async def test_typing_of_the_last_run_is_ended(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    await start(alice, room_id, 20_000)
    server.clock.advance(60_000)
    again = await ApiServer.start(server.server.config.database_url, server.clock)
    try:
        await again.server.typing_notifications.end_expired()
        assert not await typists(again.holding(alice.token), room_id)
    finally:
        await again.close()


async def test_one_types_for_oneself_only(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    refused = await alice.put(typing_path(bob, room_id), {"typing": True})
    assert problem(refused) == (403, "M_FORBIDDEN")


async def test_outsiders_cannot_type(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    for typing in (True, False):
        answers = [
            await bob.put(typing_path(bob, room), {"typing": typing})
            for room in (room_id, "!nowhere:localhost")
        ]
        assert problem(answers[0]) == (403, "M_FORBIDDEN")
        assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize("body", [{}, {"typing": 1}, {"typing": True, "timeout": "long"}, []])
async def test_bodies_of_wrong_shapes_are_refused(server: ApiServer, body: object) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    assert problem(await alice.put(typing_path(alice, room_id), body)) == (400, "M_BAD_JSON")


async def test_time_runs_out_at_once_rather_than_backwards(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    await start(alice, room_id, -5)
    server.clock.advance(1)
    await server.server.typing_notifications.end_expired()
    assert not await typists(alice, room_id)
