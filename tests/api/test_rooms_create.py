from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import done, room_path, sync
from tests.api.server import ApiServer, Person, problem

Starter = Callable[..., Awaitable[ApiServer]]

VERSIONS = ["10", "11", "12"]


async def created(person: Person, **body: object) -> str:
    room_id: str = (await done(person.post("/createRoom", body)))["room_id"]
    return room_id


async def state_of(person: Person, room_id: str) -> dict[str, Any]:
    """The contents of a room's state by type, that of members by user."""
    events: Any = await done(person.get(f"{room_path(room_id)}/state"))
    return {event["state_key"] or event["type"]: event["content"] for event in events}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_room_of_each_version(server: ApiServer, version: str) -> None:
    alice = await server.user("alice")
    room_id = await created(alice, room_version=version, name="Kitchen", topic="Soup")
    assert (":" in room_id) == (version != "12")
    state = await state_of(alice, room_id)
    assert state["m.room.create"]["room_version"] == version
    assert ("creator" in state["m.room.create"]) == (version == "10")
    assert state["m.room.name"] == {"name": "Kitchen"}
    assert state["m.room.topic"]["topic"] == "Soup"
    assert state[alice.user_id]["membership"] == "join"
    assert (alice.user_id in state["m.room.power_levels"]["users"]) == (version != "12")


async def test_the_default_version_is_a_setting(start_server: Starter) -> None:
    server = await start_server(default_room_version="10")
    alice = await server.user("alice")
    state = await state_of(alice, await created(alice))
    assert state["m.room.create"]["room_version"] == "10"


@pytest.mark.parametrize(
    ("options", "join_rule", "guest_access"),
    [
        ({}, "invite", "can_join"),
        ({"preset": "private_chat", "visibility": "public"}, "invite", "can_join"),
        ({"preset": "public_chat"}, "public", "forbidden"),
        ({"visibility": "public"}, "public", "forbidden"),
    ],
)
async def test_presets(
    server: ApiServer, options: dict[str, object], join_rule: str, guest_access: str
) -> None:
    alice = await server.user("alice")
    state = await state_of(alice, await created(alice, **options))
    assert state["m.room.join_rules"]["join_rule"] == join_rule
    assert state["m.room.guest_access"]["guest_access"] == guest_access
    assert state["m.room.history_visibility"]["history_visibility"] == "shared"


async def test_invited_people_are_told_what_the_room_is(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"})
    room_id = await created(alice, invite=[bob.user_id], is_direct=True, name="Us")
    state = await state_of(alice, room_id)
    assert state[alice.user_id]["displayname"] == "Alice"
    assert state[bob.user_id] == {"membership": "invite", "is_direct": True}
    invited = (await sync(bob))["rooms"]["invite"][room_id]["invite_state"]["events"]
    assert {"name": "Us"} in [event["content"] for event in invited]


@pytest.mark.parametrize("version", VERSIONS)
async def test_everybody_in_a_trusted_chat_is_powerful(server: ApiServer, version: str) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    options = {"preset": "trusted_private_chat", "room_version": version}
    room_id = await created(alice, invite=[bob.user_id], **options)
    await done(bob.post(f"{room_path(room_id)}/join"))
    await done(bob.put(f"{room_path(room_id)}/state/m.room.server_acl", {"allow": ["*"]}))


async def test_initial_state_and_overrides_win(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await created(
        alice,
        initial_state=[
            {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}},
            {"type": "org.example", "state_key": "k/#", "content": {"a": 1}},
        ],
        power_level_content_override={"events_default": 7},
        creation_content={"type": "m.space", "m.federate": False},
    )
    state = await state_of(alice, room_id)
    assert state["m.room.history_visibility"] == {"history_visibility": "joined"}
    assert state["k/#"] == {"a": 1}
    assert state["m.room.power_levels"]["events_default"] == 7
    assert state["m.room.power_levels"]["users"] == {alice.user_id: 100}
    assert state["m.room.create"]["type"] == "m.space"
    assert state["m.room.create"]["m.federate"] is False


async def test_a_room_with_an_alias(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await created(alice, room_alias_name="soup/1", preset="public_chat")
    alias = "#soup/1:localhost"
    state = await state_of(alice, room_id)
    assert state["m.room.canonical_alias"] == {"alias": alias}
    assert (await done(bob.post(f"/join/{quote(alias, safe='')}")))["room_id"] == room_id
    again = await bob.post("/createRoom", {"room_alias_name": "soup/1"})
    assert problem(again) == (400, "M_ROOM_IN_USE")


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"room_version": "99"}, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"room_version": 11}, "M_BAD_JSON"),
        ({"visibility": "secret"}, "M_INVALID_PARAM"),
        ({"preset": "cosy"}, "M_INVALID_PARAM"),
        ({"invite": ["bob"]}, "M_INVALID_PARAM"),
        ({"invite_3pid": [{"medium": "email"}]}, "M_INVALID_PARAM"),
        ({"room_alias_name": "a:b"}, "M_INVALID_PARAM"),
        ({"initial_state": [{"type": "m.room.name"}]}, "M_BAD_JSON"),
        ({"initial_state": [{"type": "a", "content": {"n": 1.5}}]}, "M_BAD_JSON"),
        ({"power_level_content_override": {"users": {"x": 1}}}, "M_INVALID_ROOM_STATE"),
        (
            {"creation_content": {"additional_creators": ["x"]}, "room_version": "12"},
            "M_INVALID_PARAM",
        ),
    ],
)
async def test_what_no_room_can_be(
    server: ApiServer, body: dict[str, object], errcode: str
) -> None:
    alice = await server.user("alice")
    assert problem(await alice.post("/createRoom", body)) == (400, errcode)
    assert (await done(alice.get("/joined_rooms")))["joined_rooms"] == []


async def test_a_room_that_fails_half_way_leaves_nothing(server: ApiServer) -> None:
    alice = await server.user("alice")
    locked_out = {"users": {alice.user_id: 0}, "events": {"m.room.name": 100}}
    body = {"name": "x", "room_alias_name": "x", "power_level_content_override": locked_out}
    assert problem(await alice.post("/createRoom", body)) == (400, "M_INVALID_ROOM_STATE")
    assert problem(await alice.get("/directory/room/%23x:localhost")) == (404, "M_NOT_FOUND")
    assert (await done(alice.get("/joined_rooms")))["joined_rooms"] == []


async def test_nobody_of_another_server_can_be_invited(server: ApiServer) -> None:
    alice = await server.user("alice")
    refused = await alice.post("/createRoom", {"invite": ["@bob:elsewhere.org"]})
    assert problem(refused) == (403, "M_FORBIDDEN")


async def test_publishing_is_a_matter_of_policy(start_server: Starter) -> None:
    server = await start_server(publish_rooms="admins")
    alice = await server.user("alice")
    refused = await alice.post("/createRoom", {"visibility": "public"})
    assert problem(refused) == (403, "M_FORBIDDEN")
    await created(alice, preset="public_chat")


async def test_guests_create_no_rooms(server: ApiServer) -> None:
    guest = await server.guest()
    assert problem(await guest.post("/createRoom")) == (403, "M_GUEST_ACCESS_FORBIDDEN")
