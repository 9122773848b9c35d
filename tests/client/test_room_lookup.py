import pytest

from tests.homeserver import Homeserver
from tidings.client import rooms
from tidings.client.errors import Ambiguous, NotFound
from tidings.client.room_lookup import resolve, resolve_or_enter


async def test_a_room_is_found_by_whatever_it_is_called(server: Homeserver) -> None:
    alice = await server.user("alice")
    local = alice.user_id[1:].partition(":")[0]
    room_id = await rooms.create(alice, rooms.CreateRoom(name="Dev Team", room_alias_name=local))
    for called in (room_id, f"#{alice.user_id[1:]}", f"#{local}", "Dev Team", "dev team"):
        assert await resolve(alice, called) == room_id
    for unknown in ("Dev", "#nope", "@nobody"):
        with pytest.raises(NotFound):
            await resolve(alice, unknown)


async def test_of_two_rooms_of_one_name_none_is_guessed(server: Homeserver) -> None:
    alice = await server.user("alice")
    ids = {await rooms.create(alice, rooms.CreateRoom(name=name)) for name in ("Dev", "Dev", "dev")}
    with pytest.raises(Ambiguous, match="2 rooms"):
        await resolve(alice, "Dev")
    assert await resolve(alice, "dev") in ids  # exactly one is spelled so


async def test_a_conversation_is_begun_once(server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    with pytest.raises(NotFound):
        await resolve(alice, bob.user_id)
    room_id = await resolve_or_enter(alice, bob.user_id)
    assert await resolve_or_enter(alice, bob.user_id) == room_id
    assert await resolve(alice, bob.user_id.partition(":")[0]) == room_id


async def test_an_invitation_to_a_conversation_is_taken_by_answering(server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await resolve_or_enter(alice, bob.user_id)
    with pytest.raises(NotFound):
        await resolve(bob, alice.user_id)
    assert await resolve_or_enter(bob, alice.user_id) == room_id
    assert await resolve(bob, alice.user_id) == room_id


async def test_a_conversation_somebody_left_is_begun_anew(server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await resolve_or_enter(alice, bob.user_id)
    await rooms.leave(bob, room_id)
    assert await resolve_or_enter(alice, bob.user_id) != room_id


async def test_nobody_is_not_written_to(server: Homeserver) -> None:
    alice = await server.user("alice")
    with pytest.raises(NotFound):
        await resolve_or_enter(alice, "@nobody-of-that-name")
    assert await rooms.load_joined(alice) == []
