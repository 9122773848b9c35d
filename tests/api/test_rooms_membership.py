from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.chat import create_room, done, room_path, send, sync
from tests.api.server import ApiServer, Person, problem

FORBIDDEN = (403, "M_FORBIDDEN")
UNKNOWN = "!unknown:localhost"


async def change(
    person: Person, verb: str, room_id: str, whom: Person, **body: object
) -> httpx.Response:
    return await person.post(f"{room_path(room_id)}/{verb}", {"user_id": whom.user_id, **body})


async def membership(viewer: Person, room_id: str, whom: Person) -> dict[str, Any]:
    path = f"{room_path(room_id)}/state/m.room.member/{quote(whom.user_id)}"
    return await done(viewer.get(path))


async def timeline_length(viewer: Person, room_id: str) -> int:
    page = await done(viewer.get(f"{room_path(room_id)}/messages", dir="b", limit=1000))
    return len(page["chunk"])


async def test_joining_is_done_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    path = f"{room_path(room_id)}/join"
    assert await done(bob.post(path, {"reason": "soup"})) == {"room_id": room_id}
    assert (await membership(alice, room_id, bob))["reason"] == "soup"
    length = await timeline_length(alice, room_id)
    assert await done(bob.post(path)) == {"room_id": room_id}
    assert await done(bob.post(f"/join/{quote(room_id, safe='')}")) == {"room_id": room_id}
    assert await timeline_length(alice, room_id) == length
    assert (await done(bob.get("/joined_rooms")))["joined_rooms"] == [room_id]


async def test_a_stranger_cannot_tell_a_private_room_from_none(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    private = await create_room(alice, preset="private_chat")
    for verb in ("join", "leave", "forget", "knock"):
        paths = [f"{room_path(room_id)}/{verb}" for room_id in (private, UNKNOWN)]
        if verb == "knock":
            paths = [f"/knock/{quote(room_id, safe='')}" for room_id in (private, UNKNOWN)]
        answers = [await bob.post(path) for path in paths]
        assert problem(answers[0]) == FORBIDDEN
        assert answers[0].json() == answers[1].json(), verb
    for verb in ("invite", "kick", "ban", "unban"):
        answers = [await change(bob, verb, room_id, alice) for room_id in (private, UNKNOWN)]
        assert problem(answers[0]) == FORBIDDEN
        assert answers[0].json() == answers[1].json(), verb


async def test_an_invitation_lets_in(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, preset="private_chat")
    await done(change(alice, "invite", room_id, bob, reason="come"))
    assert (await membership(alice, room_id, bob))["reason"] == "come"
    assert room_id in (await sync(bob))["rooms"]["invite"]
    await done(bob.post(f"{room_path(room_id)}/join"))
    assert (await membership(bob, room_id, bob))["membership"] == "join"
    assert problem(await change(alice, "invite", room_id, bob)) == FORBIDDEN


async def test_an_invitation_may_be_rejected_or_taken_back(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, preset="private_chat")
    await done(change(alice, "invite", room_id, bob))
    await done(bob.post(f"{room_path(room_id)}/leave"))
    assert problem(await bob.get(f"{room_path(room_id)}/state")) == FORBIDDEN
    await done(change(alice, "invite", room_id, bob))
    await done(change(alice, "kick", room_id, bob))
    assert problem(await bob.post(f"{room_path(room_id)}/join")) == FORBIDDEN


async def test_an_invitation_by_telephone_is_refused(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    body = {"medium": "email", "address": "bob@example.org", "id_server": "x"}
    answer = await alice.post(f"{room_path(room_id)}/invite", body)
    assert problem(answer) == (403, "M_THREEPID_DENIED")
    answer = await alice.post(f"{room_path(room_id)}/invite", {})
    assert problem(answer) == (400, "M_MISSING_PARAM")


async def test_leaving_twice_is_leaving_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    for _ in range(2):
        await done(bob.post(f"{room_path(room_id)}/leave"))
    assert (await done(bob.get("/joined_rooms")))["joined_rooms"] == []
    await done(bob.post(f"{room_path(room_id)}/join"))


async def test_kicking_banning_and_unbanning(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    assert problem(await change(bob, "kick", room_id, alice)) == FORBIDDEN
    await done(change(alice, "kick", room_id, bob, reason="noise"))
    assert await membership(alice, room_id, bob) == {"membership": "leave", "reason": "noise"}
    assert problem(await change(alice, "kick", room_id, bob)) == FORBIDDEN
    await done(bob.post(f"{room_path(room_id)}/join"))
    await done(change(alice, "ban", room_id, bob))
    assert problem(await bob.post(f"{room_path(room_id)}/join")) == FORBIDDEN
    assert problem(await change(alice, "kick", room_id, bob)) == FORBIDDEN
    assert problem(await change(alice, "invite", room_id, bob)) == FORBIDDEN
    await done(change(alice, "unban", room_id, bob))
    assert problem(await change(alice, "unban", room_id, bob)) == FORBIDDEN
    await done(bob.post(f"{room_path(room_id)}/join"))


async def test_knocking(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await create_room(alice, initial_state=[rule])
    knock = f"/knock/{quote(room_id, safe='')}"
    assert await done(bob.post(knock, {"reason": "me"})) == {"room_id": room_id}
    assert room_id in (await sync(bob))["rooms"]["knock"]
    assert problem(await bob.post(f"{room_path(room_id)}/join")) == FORBIDDEN
    await done(bob.post(f"{room_path(room_id)}/leave"))
    await done(bob.post(knock))
    await done(change(alice, "invite", room_id, bob))
    await done(bob.post(f"{room_path(room_id)}/join"))


@pytest.mark.parametrize("version", ["10", "11", "12"])
async def test_members_of_another_room_may_join(server: ApiServer, version: str) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    club = await create_room(alice, bob, room_version=version)
    allow = [{"type": "m.room_membership", "room_id": club}]
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "restricted", "allow": allow}}
    lounge = await create_room(alice, initial_state=[rule], room_version=version)
    await done(bob.post(f"{room_path(lounge)}/join"))
    member = await membership(alice, lounge, bob)
    assert member["join_authorised_via_users_server"] == alice.user_id
    assert problem(await carol.post(f"{room_path(lounge)}/join")) == FORBIDDEN
    await done(bob.post(f"{room_path(club)}/leave"))
    await done(bob.post(f"{room_path(lounge)}/leave"))
    assert problem(await bob.post(f"{room_path(lounge)}/join")) == FORBIDDEN


async def test_forgetting_hides_a_room_for_good(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    forget = f"{room_path(room_id)}/forget"
    assert problem(await bob.post(forget)) == FORBIDDEN
    await done(bob.post(f"{room_path(room_id)}/leave"))
    assert (await bob.get(f"{room_path(room_id)}/state")).status_code == 200
    await done(bob.post(forget))
    for path in ("state", "members", "messages?dir=b"):
        assert problem(await bob.get(f"{room_path(room_id)}/{path}")) == FORBIDDEN
    left = '{"room":{"include_leave":true}}'
    assert room_id not in (await sync(bob, filter=left)).get("rooms", {}).get("leave", {})
    await done(bob.post(f"{room_path(room_id)}/join"))
    assert (await bob.get(f"{room_path(room_id)}/state")).status_code == 200


async def test_membership_may_be_set_as_state(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    own = f"{room_path(room_id)}/state/m.room.member/{quote(bob.user_id)}"
    joined = await done(bob.put(own, {"membership": "join", "displayname": "Bobby"}))
    assert (await done(bob.put(own, {"membership": "join", "displayname": "Bobby"}))) == joined
    assert (await membership(alice, room_id, bob))["displayname"] == "Bobby"
    await done(bob.put(own, {"membership": "join", "displayname": "Robert"}))
    assert (await membership(alice, room_id, bob))["displayname"] == "Robert"
    for value in ("ban", "leave", "invite", "leave"):
        await done(alice.put(own, {"membership": value}))
        assert (await membership(alice, room_id, bob))["membership"] == value
    assert problem(await alice.put(own, {"membership": "join"})) == FORBIDDEN
    assert problem(await alice.put(own, {"membership": "king"})) == (400, "M_BAD_JSON")
    assert problem(await alice.put(own, {})) == (400, "M_BAD_JSON")


async def test_guests_come_where_guests_are_let_in(server: ApiServer) -> None:
    alice, guest = await server.user("alice"), await server.guest()
    closed = await create_room(alice)
    refused = await guest.post(f"{room_path(closed)}/join")
    assert problem(refused) == (403, "M_GUEST_ACCESS_FORBIDDEN")
    access = {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}
    room_id = await create_room(alice, initial_state=[access])
    await done(guest.post(f"{room_path(room_id)}/join"))
    await send(guest, room_id)
    state = f"{room_path(room_id)}/state/m.room.guest_access"
    await done(alice.put(state, {"guest_access": "forbidden"}))
    assert (await membership(alice, room_id, guest))["membership"] == "leave"
    assert (await membership(alice, room_id, alice))["membership"] == "join"
    assert problem(await guest.put(f"{room_path(room_id)}/send/m.x/late")) == FORBIDDEN


async def test_nobody_is_invited_who_takes_no_invitations(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    config = f"/user/{quote(bob.user_id)}/account_data/m.invite_permission_config"
    await done(bob.put(config, {"default_action": "block"}))
    blocked = (403, "M_INVITE_BLOCKED")
    state = f"{room_path(room_id)}/state/m.room.member/{quote(bob.user_id)}"
    assert problem(await change(alice, "invite", room_id, bob)) == blocked
    assert problem(await alice.put(state, {"membership": "invite"})) == blocked
    assert problem(await alice.post("/createRoom", {"invite": [bob.user_id]})) == blocked
    await done(bob.put(config, {}))
    await done(change(alice, "invite", room_id, bob))


async def test_a_deactivated_account_leaves_its_rooms(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    invited = await create_room(alice, preset="private_chat", invite=[bob.user_id])
    answer = await bob.prove("POST", "/account/deactivate", {})
    assert answer.status_code == 200
    for each in (room_id, invited):
        assert (await membership(alice, each, bob))["membership"] == "leave"
