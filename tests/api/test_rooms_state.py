from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import create_room, done, room_path, send, sync
from tests.api.server import ApiServer, Person, problem

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")


async def whole_state(person: Person, room: str) -> list[dict[str, Any]]:
    events: Any = await done(person.get(f"{room}/state"))
    return list(events)


async def members(person: Person, room_id: str, **query: str | int) -> set[str]:
    answer = await done(person.get(f"{room_path(room_id)}/members", **query))
    return {event["state_key"] for event in answer["chunk"]}


async def test_state_is_set_and_read(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room = room_path(await create_room(alice, bob))
    event_id = (await done(alice.put(f"{room}/state/org.x/key", {"a": 1})))["event_id"]
    assert await done(bob.get(f"{room}/state/org.x/key")) == {"a": 1}
    event = await done(bob.get(f"{room}/state/org.x/key", format="event"))
    assert event["event_id"] == event_id
    assert event["state_key"] == "key"
    assert event["room_id"] in room.replace("%21", "!").replace("%3A", ":")
    assert event in [
        {**each, "unsigned": event["unsigned"]} for each in await whole_state(bob, room)
    ]
    assert problem(await bob.get(f"{room}/state/org.x/other")) == NOT_FOUND


@pytest.mark.parametrize("key", ["", "a/b", "#?&", "%2F", "ü 🎈", "@someone"])
async def test_any_text_is_a_state_key(server: ApiServer, key: str) -> None:
    alice = await server.user("alice")
    room = room_path(await create_room(alice))
    path = f"{room}/state/{quote('org/x', safe='')}/{quote(key, safe='')}"
    if key == "@someone":
        assert problem(await alice.put(path, {})) == FORBIDDEN
        return
    await done(alice.put(path, {"key": key}))
    assert await done(alice.get(path)) == {"key": key}
    whole = await whole_state(alice, room)
    assert (key, "org/x") in {(event["state_key"], event["type"]) for event in whole}


async def test_an_empty_key_needs_no_slash(server: ApiServer) -> None:
    alice = await server.user("alice")
    room = room_path(await create_room(alice))
    for path in (f"{room}/state/m.room.name", f"{room}/state/m.room.name/"):
        await done(alice.put(path, {"name": path}))
        assert await done(alice.get(f"{room}/state/m.room.name")) == {"name": path}
        assert await done(alice.get(f"{room}/state/m.room.name/")) == {"name": path}


async def test_saying_the_same_again_is_no_event(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    levels = {"state_default": 0}
    room = room_path(await create_room(alice, bob, power_level_content_override=levels))
    first = await done(alice.put(f"{room}/state/org.x", {"a": 1}))
    assert await done(alice.put(f"{room}/state/org.x", {"a": 1})) == first
    assert await done(alice.put(f"{room}/state/org.x", {"a": True})) != first
    other = await done(bob.put(f"{room}/state/org.x", {"a": True}))
    assert await done(bob.get(f"{room}/state/org.x", format="event")) == {
        **(await done(bob.get(f"{room}/event/{quote(other['event_id'])}"))),
        "unsigned": {
            "age": 0,
            "prev_content": {"a": True},
            "prev_sender": alice.user_id,
            "replaces_state": (await done(bob.get(f"{room}/messages", dir="b", limit=2)))["chunk"][
                1
            ]["event_id"],
        },
    }


async def test_the_power_to_set_state(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room = room_path(await create_room(alice, bob))
    assert problem(await bob.put(f"{room}/state/m.room.name", {"name": "x"})) == FORBIDDEN
    unknown = room_path("!unknown:localhost")
    answers = [await carol.put(f"{each}/state/m.room.name", {}) for each in (room, unknown)]
    assert problem(answers[0]) == FORBIDDEN
    assert answers[0].json() == answers[1].json()
    levels = await done(alice.get(f"{room}/state/m.room.power_levels"))
    raised = {**levels, "users": {**levels["users"], bob.user_id: 100}}
    assert problem(await bob.put(f"{room}/state/m.room.power_levels", raised)) == FORBIDDEN
    await done(alice.put(f"{room}/state/m.room.power_levels", raised))
    await done(bob.put(f"{room}/state/m.room.name", {"name": "x"}))


async def test_a_canonical_alias_must_point_here(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    other = await create_room(alice)
    path = f"{room_path(room_id)}/state/m.room.canonical_alias"
    await done(alice.put("/directory/room/%23here:localhost", {"room_id": room_id}))
    await done(alice.put("/directory/room/%23there:localhost", {"room_id": other}))
    bad_alias, invalid = (400, "M_BAD_ALIAS"), (400, "M_INVALID_PARAM")
    assert problem(await alice.put(path, {"alias": "#there:localhost"})) == bad_alias
    assert problem(await alice.put(path, {"alias": "#nowhere:localhost"})) == bad_alias
    assert problem(await alice.put(path, {"alt_aliases": ["#there:localhost"]})) == bad_alias
    assert problem(await alice.put(path, {"alias": "here"})) == invalid
    assert problem(await alice.put(path, {"alias": 5})) == invalid
    assert problem(await alice.put(path, {"alt_aliases": "#here:localhost"})) == (200, "")
    named = {"alias": "#here:localhost", "alt_aliases": ["#here:localhost"]}
    await done(alice.put(path, named))
    await done(alice.put(path, {"alias": None, "alt_aliases": ["#here:localhost"]}))
    await done(alice.put(path, {}))


async def test_who_has_left_sees_the_state_of_then(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob, name="before")
    room = room_path(room_id)
    await done(bob.post(f"{room}/leave"))
    await done(alice.put(f"{room}/state/m.room.name", {"name": "after"}))
    await done(alice.put(f"{room}/state/org.new", {}))
    await done(carol.post(f"{room}/join"))
    assert await done(bob.get(f"{room}/state/m.room.name")) == {"name": "before"}
    assert problem(await bob.get(f"{room}/state/org.new")) == NOT_FOUND
    whole = {event["type"]: event["content"] for event in await whole_state(bob, room)}
    assert whole["m.room.name"] == {"name": "before"}
    assert "org.new" not in whole
    assert await members(bob, room_id) == {alice.user_id, bob.user_id}
    assert problem(await bob.get(f"{room}/joined_members")) == FORBIDDEN


async def test_an_open_room_is_readable_by_all(server: ApiServer) -> None:
    alice, bob, guest = await server.user("alice"), await server.user("bob"), await server.guest()
    content = {"history_visibility": "world_readable"}
    visibility = {"type": "m.room.history_visibility", "content": content}
    room_id = await create_room(alice, initial_state=[visibility], name="open")
    room = room_path(room_id)
    event_id = await send(alice, room_id)
    for person in (bob, guest):
        assert await done(person.get(f"{room}/state/m.room.name")) == {"name": "open"}
        assert await members(person, room_id) == {alice.user_id}
        await done(person.get(f"{room}/event/{quote(event_id)}"))
    assert problem(await bob.get(f"{room}/joined_members")) == FORBIDDEN
    shared = {"history_visibility": "shared"}
    await done(alice.put(f"{room}/state/m.room.history_visibility", shared))
    assert problem(await bob.get(f"{room}/state")) == FORBIDDEN


async def test_members_by_membership_and_time(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob)
    then = (await sync(alice))["next_batch"]
    await done(bob.post(f"{room_path(room_id)}/leave"))
    await done(alice.post(f"{room_path(room_id)}/invite", {"user_id": carol.user_id}))
    assert await members(alice, room_id, membership="join") == {alice.user_id}
    assert await members(alice, room_id, not_membership="leave") == {alice.user_id, carol.user_id}
    assert await members(alice, room_id, at=then) == {alice.user_id, bob.user_id}
    assert await members(alice, room_id, at=then, membership="join") == {
        alice.user_id,
        bob.user_id,
    }
    bad = await alice.get(f"{room_path(room_id)}/members", at="nonsense")
    assert problem(bad) == (400, "M_INVALID_PARAM")


async def test_joined_members_and_their_names(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await done(alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"}))
    room_id = await create_room(alice, bob)
    joined = await done(bob.get(f"{room_path(room_id)}/joined_members"))
    assert joined["joined"][alice.user_id] == {"display_name": "Alice"}
    assert set(joined["joined"]) == {alice.user_id, bob.user_id}


@pytest.mark.parametrize(
    "path", ["state", "state/m.room.name", "members", "joined_members", "aliases", "initialSync"]
)
async def test_a_stranger_cannot_tell_a_private_room_from_none(
    server: ApiServer, path: str
) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    private = await create_room(alice, preset="private_chat", name="secret")
    rooms = (private, "!unknown:localhost", "nonsense")
    answers = [await bob.get(f"{room_path(room_id)}/{path}") for room_id in rooms]
    assert problem(answers[0]) == FORBIDDEN
    assert answers[0].json() == answers[1].json() == answers[2].json()
