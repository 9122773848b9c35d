"""A room is replaced by one of another version."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import create_room, done, room_path, send
from tests.api.server import ApiServer, Person, problem

FORBIDDEN = (403, "M_FORBIDDEN")


async def upgrade(person: Person, room_id: str, version: str = "11", **options: object) -> str:
    body = {"new_version": version, **options}
    told = await done(person.post(f"{room_path(room_id)}/upgrade", body))
    return str(told["replacement_room"])


async def state_of(person: Person, room_id: str, type_: str, key: str = "") -> dict[str, Any]:
    return await done(person.get(f"{room_path(room_id)}/state/{type_}/{quote(key)}"))


@pytest.mark.parametrize("before", ["10", "11", "12"])
@pytest.mark.parametrize("after", ["10", "11", "12"])
async def test_a_room_goes_on_in_another(server: ApiServer, before: str, after: str) -> None:
    alice, bob, eve = [await server.user(name) for name in ("alice", "bob", "eve")]
    room_id = await create_room(
        alice, bob, eve, room_version=before, name="Here", room_alias_name="here",
        visibility="public", creation_content={"type": "org.x"},
    )  # fmt: skip
    path = room_path(room_id)
    await done(
        alice.put(f"{path}/state/m.room.history_visibility", {"history_visibility": "joined"})
    )
    await done(alice.post(f"{path}/ban", {"user_id": eve.user_id, "reason": "rude"}))
    last = (await alice.get(f"{path}/messages", dir="b", limit=1)).json()["chunk"][0]["event_id"]
    new = await upgrade(alice, room_id, after)

    assert (await state_of(alice, room_id, "m.room.tombstone"))["replacement_room"] == new
    create = await state_of(alice, new, "m.room.create")
    assert create["predecessor"] == {"room_id": room_id, "event_id": last}
    assert (create["room_version"], create["type"]) == (after, "org.x")
    assert await state_of(alice, new, "m.room.name") == {"name": "Here"}
    visibility = await state_of(alice, new, "m.room.history_visibility")
    assert visibility == {"history_visibility": "joined"}
    assert await state_of(alice, new, "m.room.canonical_alias") == {"alias": "#here:localhost"}
    assert await state_of(alice, room_id, "m.room.canonical_alias") == {}
    found = await done(bob.get(f"/directory/room/{quote('#here:localhost')}"))
    assert found["room_id"] == new
    listed = await done(bob.get("/publicRooms"))
    assert [room["room_id"] for room in listed["chunk"]] == [new]
    assert problem(await eve.post(f"{room_path(new)}/join")) == FORBIDDEN
    await done(bob.post(f"{room_path(new)}/join"))
    await send(bob, new)
    refused = await bob.put(f"{path}/send/m.room.message/after", {"body": "x"})
    assert problem(refused) == FORBIDDEN
    await done(alice.put(f"{room_path(new)}/state/m.room.name", {"name": "There"}))


async def test_levels_are_as_they_were(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    events = {"m.room.tombstone": 60, "m.room.power_levels": 100, "m.room.server_acl": 100}
    levels = {"users": {alice.user_id: 100, bob.user_id: 60}, "events": events}
    room_id = await create_room(alice, bob, power_level_content_override=levels)
    held = await state_of(alice, room_id, "m.room.power_levels")
    new = await upgrade(bob, room_id)
    assert await state_of(bob, new, "m.room.power_levels") == held
    assert (await state_of(alice, room_id, "m.room.power_levels"))["events_default"] == 0
    refused = await bob.put(f"{room_path(new)}/state/m.room.server_acl", {"allow": ["*"]})
    assert problem(refused) == FORBIDDEN


async def test_a_space_keeps_its_children(server: ApiServer) -> None:
    alice = await server.user("alice")
    space, child = (
        await create_room(alice, creation_content={"type": "m.space"}),
        "!child:localhost",
    )
    content = {"via": ["localhost"], "suggested": True}
    await done(alice.put(f"{room_path(space)}/state/m.space.child/{quote(child)}", content))
    assert await state_of(alice, await upgrade(alice, space), "m.space.child", child) == content


async def test_creators_beside_the_upgrader(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    new = await upgrade(alice, room_id, "12", additional_creators=[bob.user_id, alice.user_id])
    create = await state_of(alice, new, "m.room.create")
    assert create["additional_creators"] == [bob.user_id]
    again = await upgrade(alice, new, "11", additional_creators=[bob.user_id])
    assert "additional_creators" not in await state_of(alice, again, "m.room.create")
    levels = await state_of(alice, again, "m.room.power_levels")
    assert levels["users"] == {alice.user_id: 100, bob.user_id: 100}


async def test_who_may_not_and_what_cannot_be(server: ApiServer) -> None:
    alice, bob, eve = [await server.user(name) for name in ("alice", "bob", "eve")]
    room_id = await create_room(alice, bob)
    path = f"{room_path(room_id)}/upgrade"
    for person in (bob, eve):
        assert problem(await person.post(path, {"new_version": "12"})) == FORBIDDEN
    assert problem(await alice.post(path, {"new_version": "org.x"})) == (
        400, "M_UNSUPPORTED_ROOM_VERSION",
    )  # fmt: skip
    assert problem(await alice.post(path)) == (400, "M_BAD_JSON")
    bad = {"new_version": "12", "additional_creators": ["bob"]}
    assert problem(await alice.post(path, bad)) == (400, "M_INVALID_PARAM")
    nowhere = await alice.post(f"{room_path('!no:localhost')}/upgrade", {"new_version": "12"})
    assert problem(nowhere) == FORBIDDEN
    missing = await alice.get(f"{room_path(room_id)}/state/m.room.tombstone")
    assert problem(missing) == (404, "M_NOT_FOUND")
