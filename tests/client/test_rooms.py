import pytest

from tests.homeserver import Homeserver
from tidings.client import rooms
from tidings.client.errors import ApiError, Forbidden, NotFound


async def test_people_come_and_go(server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await rooms.create(alice, rooms.CreateRoom(name="Dev", invite=[bob.user_id]))
    assert await rooms.load_membership(alice, room_id, bob.user_id) == "invite"
    assert await rooms.join(bob, room_id) == room_id
    assert await rooms.join(bob, room_id) == room_id
    assert room_id in await rooms.load_joined(bob)
    members = {m.user_id: m.membership for m in await rooms.load_members(alice, room_id)}
    assert members == {alice.user_id: "join", bob.user_id: "join"}

    await rooms.leave(bob, room_id)
    assert room_id not in await rooms.load_joined(bob)
    with pytest.raises(Forbidden):
        await rooms.join(bob, room_id)
    await rooms.invite(alice, room_id, bob.user_id)
    await rooms.join(bob, room_id)
    with pytest.raises(ApiError):
        await rooms.invite(alice, room_id, bob.user_id)


async def test_a_public_room_is_found_by_its_alias(server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    name = alice.user_id[1:].partition(":")[0]
    room_id = await rooms.create(
        alice, rooms.CreateRoom(preset="public_chat", room_alias_name=f"dev/{name}")
    )
    alias = f"#dev/{alice.user_id[1:]}"
    assert await rooms.get_by_alias(bob, alias) == room_id
    assert await rooms.join(bob, alias) == room_id
    with pytest.raises(NotFound):
        await rooms.get_by_alias(bob, "#nowhere" + alias[1:])
