"""Sliding sync: MSC4186 at its unstable path."""

import asyncio
from collections.abc import Awaitable, Callable
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
from tests.api.server import ApiServer, Person, problem
from tests.api.sliding import PATH, Slider, bodies, state_of, subscription, window

Starter = Callable[..., Awaitable[ApiServer]]
MEMBER = "m.room.member"


async def set_state(
    person: Person, room_id: str, type_: str, content: object, key: str = ""
) -> None:
    await done(person.put(f"{room_path(room_id)}/state/{type_}/{quote(key, safe='')}", content))


async def test_the_first_answer_shows_the_newest_rooms(server: ApiServer) -> None:
    alice = await server.user("alice")
    rooms = [await create_room(alice, name=f"Room {number}") for number in range(4)]
    await send(alice, rooms[0], "newest")
    slider = Slider(alice, all=window(1))
    shown = await slider.slide()
    assert set(shown) == {rooms[0], rooms[3]}
    assert slider.count("all") == 4
    room = shown[rooms[0]]
    assert room["initial"] is True
    assert room["name"] == "Room 0"
    assert room["membership"] == "join"
    assert bodies(room) == ["newest"]
    assert room["limited"] is True
    assert room["num_live"] == 0
    assert (room["joined_count"], room["invited_count"]) == (1, 0)
    assert (room["notification_count"], room["highlight_count"]) == (0, 0)
    assert state_of(room) == {("m.room.create", ""), ("m.room.name", "")}
    assert room["bump_stamp"] > shown[rooms[3]]["bump_stamp"]
    assert "heroes" not in room


async def test_nothing_new_is_the_same_position(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create_room(alice)
    slider = Slider(alice, all=window())
    await slider.slide()
    pos = slider.pos
    assert await slider.slide() == {}
    assert slider.pos == pos
    assert slider.count("all") == 1


async def test_a_message_comes_as_news(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, name="Chat")
    slider = Slider(bob, all=window())
    await slider.slide()
    await send(alice, room_id, "hello", **mentioning(bob))
    room = (await slider.slide())[room_id]
    assert bodies(room) == ["hello"]
    assert "initial" not in room
    assert "name" not in room
    assert "limited" not in room
    assert room["num_live"] == 1
    assert room["required_state"] == []
    assert (room["notification_count"], room["highlight_count"]) == (1, 1)
    assert await slider.slide() == {}


async def test_a_request_waits_for_news(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    slider = Slider(bob, all=window())
    await slider.slide()
    waiting = asyncio.create_task(slider.slide(30_000))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await send(alice, room_id, "at last")
    assert bodies((await waiting)[room_id]) == ["at last"]


async def test_other_lists_are_answered_at_once(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create_room(alice)
    slider = Slider(alice, all=window())
    await slider.slide()
    slider.lists = {"all": window(50)}
    assert await asyncio.wait_for(slider.slide(30_000), 5) == {}


async def test_a_window_that_grows_brings_only_what_it_adds(server: ApiServer) -> None:
    alice = await server.user("alice")
    rooms = [await create_room(alice) for _ in range(4)]
    slider = Slider(alice, all=window(1))
    assert set(await slider.slide()) == set(rooms[2:])
    slider.lists = {"all": window(99)}
    assert set(await slider.slide()) == set(rooms[:2])


async def test_a_room_moves_up_on_a_message(server: ApiServer) -> None:
    alice = await server.user("alice")
    rooms = [await create_room(alice) for _ in range(3)]
    slider = Slider(alice, all=window(0))
    assert set(await slider.slide()) == {rooms[2]}
    await send(alice, rooms[0], "up")
    shown = await slider.slide()
    assert set(shown) == {rooms[0]}
    assert shown[rooms[0]]["initial"] is True
    assert shown[rooms[0]]["num_live"] == 1
    # The one that fell out has missed something when it comes back, and only that is told.
    await send(alice, rooms[2], "back")
    shown = await slider.slide()
    assert set(shown) == {rooms[2]}
    assert "initial" not in shown[rooms[2]]
    assert bodies(shown[rooms[2]]) == ["back"]


async def test_what_a_room_missed_outside_of_the_window_is_cut(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id, other = await create_room(alice, name="Old"), await create_room(alice)
    slider = Slider(alice, all=window(0, 2, [["m.room.name", ""], ["m.room.topic", ""]]))
    await send(alice, room_id, "seen")
    assert set(await slider.slide()) == {room_id}
    await send(alice, other)
    assert set(await slider.slide()) == {other}
    await set_state(alice, room_id, "m.room.name", {"name": "New"})
    await set_state(alice, room_id, "m.room.topic", {"topic": "Something else"})
    await send(alice, other)
    assert set(await slider.slide()) <= {other, room_id}
    for number in range(3):
        await send(alice, room_id, str(number))
    room = (await slider.slide())[room_id]
    assert bodies(room) == ["1", "2"]
    assert room["limited"] is True


async def test_state_before_a_cut_timeline_is_told(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, name="Old")
    slider = Slider(bob, all=window(0, 1))
    await slider.slide()
    await set_state(alice, room_id, "m.room.name", {"name": "New"})
    await send(alice, room_id, "one")
    await send(alice, room_id, "two")
    room = (await slider.slide())[room_id]
    assert (room["name"], bodies(room), room["limited"]) == ("New", ["two"], True)
    assert state_of(room) == {("m.room.name", "")}
    await set_state(alice, room_id, "m.room.name", {})
    assert (await slider.slide())[room_id]["name"] is None


async def test_a_lost_answer_is_given_again(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    slider = Slider(bob, all=window())
    await slider.slide()
    pos = slider.pos
    await send(alice, room_id, "lost?")
    assert bodies((await slider.slide())[room_id]) == ["lost?"]
    slider.pos = pos
    assert bodies((await slider.slide())[room_id]) == ["lost?"]
    assert await slider.slide() == {}
    slider.pos = pos
    refused = await bob.post(f"{PATH}?pos={pos}", {"conn_id": "main", "lists": slider.lists})
    assert problem(refused) == (400, "M_UNKNOWN_POS")


async def test_positions_do_not_survive_a_restart(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    slider = Slider(alice, all=window())
    await slider.slide()
    again = await ApiServer.start(server.server.config.database_url, server.clock)
    try:
        person = again.holding(alice.token)
        body = {"conn_id": "main", "lists": slider.lists}
        refused = await person.post(f"{PATH}?pos={slider.pos}", body)
        assert problem(refused) == (400, "M_UNKNOWN_POS")
        assert set(await Slider(person, all=window()).slide()) == {room_id}
    finally:
        await again.close()


async def test_connections_are_apart(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    one, other = Slider(alice, "one", all=window()), Slider(alice, "other", all=window())
    assert set(await one.slide()) == set(await other.slide()) == {room_id}
    await send(alice, room_id, "both")
    assert bodies((await one.slide())[room_id]) == bodies((await other.slide())[room_id])


async def test_subscriptions_show_rooms_that_no_list_shows(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    rooms = [await create_room(alice) for _ in range(2)]
    secret = await create_room(bob)
    slider = Slider(alice, all=window(0, 1))
    await slider.slide()
    wanted = {room_id: subscription() for room_id in (rooms[0], secret, "!nowhere:localhost")}
    shown = await slider.slide(room_subscriptions=wanted)
    assert set(shown) == {rooms[0]}
    assert shown[rooms[0]]["limited"] is False
    # It goes on without being named again, until it is ended.
    await send(alice, rooms[1])
    await slider.slide()
    await set_state(alice, rooms[0], "m.room.topic", {"topic": "first"})
    await send(alice, rooms[1])
    assert set(await slider.slide()) == set(rooms)
    await slider.slide(unsubscribe_rooms=[rooms[0]])
    await set_state(alice, rooms[0], "m.room.topic", {"topic": "second"})
    await send(alice, rooms[1])
    assert set(await slider.slide()) == {rooms[1]}


async def test_a_longer_timeline_is_sent_at_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    for number in range(5):
        await send(alice, room_id, str(number))
    slider = Slider(bob, all=window(0, 1))
    assert bodies((await slider.slide())[room_id]) == ["4"]
    room = (await slider.slide(30_000, room_subscriptions={room_id: subscription(4)}))[room_id]
    assert bodies(room) == ["1", "2", "3", "4"]
    assert room["expanded_timeline"] is room["unstable_expanded_timeline"] is True
    assert room["num_live"] == 0
    await send(alice, room_id, "5")
    room = (await slider.slide())[room_id]
    assert bodies(room) == ["5"]
    assert "expanded_timeline" not in room


async def test_more_required_state_is_sent_at_once(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice, name="Name", topic="Topic")
    slider = Slider(alice, all=window())
    await slider.slide()
    slider.lists = {"all": window(19, 5, [["m.room.name", ""], ["m.room.topic", ""]])}
    room = (await slider.slide(30_000))[room_id]
    assert state_of(room) == {("m.room.topic", "")}
    assert room["timeline"] == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([], set()),
        ([[MEMBER, "$ME"]], {(MEMBER, "bob")}),
        ([[MEMBER, "*"]], {(MEMBER, "alice"), (MEMBER, "bob"), (MEMBER, "carol")}),
        ([[MEMBER, "$LAZY"]], {(MEMBER, "alice")}),
        ([[MEMBER, "$LAZY"], [MEMBER, "$ME"]], {(MEMBER, "alice"), (MEMBER, "bob")}),
        ([["m.room.topic", "*"]], {("m.room.topic", "")}),
        ({"include": [{"type": "m.room.topic"}]}, {("m.room.topic", "")}),
        ({"lazy_members": True}, {(MEMBER, "alice")}),
        ({"include": [{"state_key": "@carol:localhost"}]}, {(MEMBER, "carol")}),
    ],
)
async def test_required_state(
    server: ApiServer, asked: object, expected: set[tuple[str, str]]
) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, await server.user("carol"), topic="Topic")
    for number in range(3):
        await send(alice, room_id, str(number))
    for forget in (False, True):
        if forget:
            server.server.rooms.clear()
        room = (await Slider(bob, all=window(0, 2, asked)).slide())[room_id]
        found = {
            (type_, key.removesuffix(":localhost").removeprefix("@"))
            for type_, key in state_of(room)
        }
        assert found == expected


async def test_all_state_but_lazy_members(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, topic="Topic")
    await send(alice, room_id)
    asked = [["*", "*"], [MEMBER, "$LAZY"]]
    slider = Slider(bob, all=window(0, 1, asked))
    found = state_of((await slider.slide())[room_id])
    assert (MEMBER, bob.user_id) not in found
    assert {(MEMBER, alice.user_id), ("m.room.topic", ""), ("m.room.create", "")} <= found
    everything = {"include": [{}], "exclude": [{"type": "m.room.create"}]}
    found = state_of((await Slider(bob, "2", all=window(0, 1, everything)).slide())[room_id])
    assert (MEMBER, bob.user_id) in found
    assert ("m.room.create", "") not in found


async def test_lazy_members_come_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    slider = Slider(bob, all=window(0, 1, [[MEMBER, "$LAZY"]]))
    await slider.slide()
    await send(alice, room_id)
    assert state_of((await slider.slide())[room_id]) == {(MEMBER, alice.user_id)}
    await send(alice, room_id)
    assert state_of((await slider.slide())[room_id]) == set()
    await done(alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice!"}))
    assert state_of((await slider.slide())[room_id]) == {(MEMBER, alice.user_id)}


async def test_heroes_name_a_room_without_a_name(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await done(bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": "Bob"}))
    room_id = await create_room(alice, bob)
    slider = Slider(alice, all=window())
    room = (await slider.slide())[room_id]
    assert room["heroes"] == [{"user_id": bob.user_id, "displayname": "Bob"}]
    assert "name" not in room
    carol = await server.user("carol")
    await done(carol.post(f"{room_path(room_id)}/join"))
    room = (await slider.slide())[room_id]
    assert [hero["user_id"] for hero in room["heroes"]] == [bob.user_id, carol.user_id]
    assert room["joined_count"] == 3


async def test_reading_elsewhere_is_told(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    slider = Slider(bob, all=window())
    await slider.slide()
    last = await send(alice, room_id, "read me", **mentioning(bob))
    await slider.slide()
    waiting = asyncio.create_task(slider.slide(30_000))
    await asyncio.sleep(0.02)
    await read(bob, room_id, last)
    room = (await waiting)[room_id]
    assert (room["notification_count"], room["highlight_count"]) == (0, 0)
    assert room["timeline"] == []


async def test_threads_are_not_counted(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    root = await send(alice, room_id)
    await send(alice, room_id, **in_thread(root))
    assert (await Slider(bob, all=window()).slide())[room_id]["notification_count"] == 1


async def test_invitations_show_what_outsiders_see(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    slider = Slider(bob, all=window(), invites=window(19, 1, [], is_invite=True))
    await slider.slide()
    room_id = await create_room(alice, name="Party", invite=[bob.user_id])
    room = (await slider.slide())[room_id]
    assert room["membership"] == "invite"
    assert room["initial"] is True
    types = {event["type"] for event in room["invite_state"]}
    assert {"m.room.name", MEMBER, "m.room.create"} <= types
    assert "timeline" not in room
    assert (slider.count("all"), slider.count("invites")) == (1, 1)
    await send(alice, room_id, "not for guests")
    assert await slider.slide() == {}
    await done(bob.post(f"{room_path(room_id)}/join"))
    room = (await slider.slide())[room_id]
    assert (room["membership"], room["initial"], room["name"]) == ("join", True, "Party")
    assert "invite_state" not in room
    assert slider.count("invites") == 0


async def test_invitations_of_the_ignored_are_not_shown(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    ignored: dict[str, object] = {"ignored_users": {alice.user_id: {}}}
    await done(bob.put(f"{user_path(bob)}/account_data/m.ignored_user_list", ignored))
    await create_room(alice, invite=[bob.user_id])
    slider = Slider(bob, all=window())
    assert await slider.slide() == {}
    assert slider.count("all") == 0


async def test_a_refused_invitation_goes_away(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, name="Party", invite=[bob.user_id])
    slider = Slider(bob, all=window())
    await slider.slide()
    await done(bob.post(f"{room_path(room_id)}/leave"))
    room = (await slider.slide())[room_id]
    assert room["membership"] == "leave"
    assert state_of(room) == {(MEMBER, bob.user_id)}
    assert await slider.slide() == {}
    assert slider.count("all") == 0


async def test_leaving_is_told_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    slider = Slider(bob, all=window())
    await slider.slide()
    await done(bob.post(f"{room_path(room_id)}/leave"))
    await send(alice, room_id, "behind his back")
    room = (await slider.slide())[room_id]
    assert room["membership"] == "leave"
    assert [event["content"].get("membership") for event in room["timeline"]] == ["leave"]
    assert await slider.slide() == {}
    assert slider.count("all") == 0
    assert await Slider(bob, "fresh", all=window()).slide() == {}
    await done(bob.post(f"{room_path(room_id)}/join"))
    assert (await slider.slide())[room_id]["initial"] is True


async def test_who_was_thrown_out_is_shown_until_it_is_forgotten(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, name="Before")
    await done(alice.post(f"{room_path(room_id)}/kick", {"user_id": bob.user_id}))
    await set_state(alice, room_id, "m.room.name", {"name": "After"})
    await send(alice, room_id, "behind his back")
    slider = Slider(bob, all=window())
    room = (await slider.slide())[room_id]
    assert (room["membership"], room["name"]) == ("leave", "Before")
    assert bodies(room) == []
    await done(bob.post(f"{room_path(room_id)}/forget"))
    assert await Slider(bob, "fresh", all=window()).slide() == {}


async def test_an_invitation_taken_back_shows_nothing_of_the_room(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, name="Secret", invite=[bob.user_id])
    await done(alice.post(f"{room_path(room_id)}/ban", {"user_id": bob.user_id}))
    slider = Slider(bob, all=window())
    assert await slider.slide(room_subscriptions={room_id: subscription()}) == {}


async def test_history_from_before_joining_stays_hidden(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    visibility = {"history_visibility": "joined"}
    await set_state(alice, room_id, "m.room.history_visibility", visibility)
    await send(alice, room_id, "before")
    await done(bob.post(f"{room_path(room_id)}/join"))
    await send(alice, room_id, "after")
    for forget in (False, True):
        if forget:
            server.server.rooms.clear()
        shown = await Slider(bob, str(forget), all=window(0, 20)).slide()
        assert bodies(shown[room_id]) == ["after"]


async def test_a_redacted_message_says_why(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    event_id = await send(alice, room_id, "oops")
    await redact(alice, room_id, event_id)
    room = (await Slider(alice, all=window()).slide())[room_id]
    redacted = next(event for event in room["timeline"] if event["event_id"] == event_id)
    assert redacted["content"] == {}
    assert redacted["unsigned"]["redacted_because"]["type"] == "m.room.redaction"


FILTERS: list[tuple[dict[str, object], set[str]]] = [
    ({}, {"plain", "dm", "secret", "space", "inside", "tagged"}),
    ({"is_dm": True}, {"dm"}),
    ({"is_dm": False}, {"plain", "secret", "space", "inside", "tagged"}),
    ({"is_encrypted": True}, {"secret"}),
    ({"room_types": ["m.space"]}, {"space"}),
    ({"not_room_types": ["m.space"]}, {"plain", "dm", "secret", "inside", "tagged"}),
    ({"room_types": [None], "is_encrypted": False}, {"plain", "dm", "inside", "tagged"}),
    ({"spaces": ["SPACE"]}, {"inside"}),
    ({"spaces": ["!unknown:localhost"]}, set()),
    ({"tags": ["m.favourite"]}, {"tagged"}),
    ({"not_tags": ["m.favourite"]}, {"plain", "dm", "secret", "space", "inside"}),
    ({"is_invited": True}, set()),
]


async def test_filters(server: ApiServer) -> None:
    """Every filter, for rooms that were there and for rooms that come while the board is held."""
    alice = await server.user("alice")
    slider = Slider(alice, all=window(0, 0, [], is_encrypted=True, spaces=["!none:localhost"]))
    await slider.slide()
    rooms = {
        name: await create_room(alice, name=name) for name in ("plain", "dm", "inside", "tagged")
    }
    encryption = {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    rooms["secret"] = await create_room(alice, name="secret", initial_state=[encryption])
    rooms["space"] = await create_room(alice, name="space", creation_content={"type": "m.space"})
    child = {"via": ["localhost"]}
    await set_state(alice, rooms["space"], "m.space.child", child, rooms["inside"])
    direct = {"@bob:localhost": [rooms["dm"]]}
    await done(alice.put(f"{user_path(alice)}/account_data/m.direct", direct))
    tagging = f"{user_path(alice)}{room_path(rooms['tagged'])}/tags/m.favourite"
    await done(alice.put(tagging, {}))
    names = {room_id: name for name, room_id in rooms.items()}
    for number, (filters, expected) in enumerate(FILTERS):
        named = {"spaces": [rooms["space"]]} if filters.get("spaces") == ["SPACE"] else filters
        shown = await Slider(alice, str(number % 8), all=window(19, 0, [], **named)).slide()
        assert {names[room_id] for room_id in shown} == expected, filters


async def test_a_room_becomes_direct(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    slider = Slider(alice, all=window())
    assert "is_dm" not in (await slider.slide())[room_id]
    path = f"{user_path(alice)}/account_data/m.direct"
    await done(alice.put(path, {"@bob:localhost": [room_id]}))
    assert (await slider.slide())[room_id]["is_dm"] is True
    await done(alice.put(path, {}))
    assert (await slider.slide())[room_id]["is_dm"] is False


@pytest.mark.parametrize(
    "body",
    [
        {"lists": {"a": {"ranges": [[5, 1]]}}},
        {"lists": {"a": {"ranges": [[-1, 1]]}}},
        {"lists": {"a": {"ranges": [["a", 1]]}}},
        {"lists": {"a": {"timeline_limit": -1}}},
        {"lists": {"a": {"required_state": [["m.room.name"]]}}},
        {"lists": []},
        {"lists": {str(number): {} for number in range(101)}},
        {"extensions": {"typing": {"enabled": "yes"}}},
        {"conn_id": 1},
        {"conn_id": "x" * 256},
    ],
)
async def test_bodies_of_wrong_shapes_are_refused(server: ApiServer, body: object) -> None:
    alice = await server.user("alice")
    status, code = problem(await alice.post(PATH, body))
    assert (status, code) in {(400, "M_BAD_JSON"), (400, "M_INVALID_PARAM")}


async def test_positions_of_others_are_unknown(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    slider = Slider(alice, all=window())
    await slider.slide()
    for pos in (slider.pos, "nonsense", "s1_"):
        refused = await bob.post(f"{PATH}?pos={pos}", {"conn_id": "main"})
        assert problem(refused) == (400, "M_UNKNOWN_POS")
    assert problem(await server.nobody.post(PATH, {})) == (401, "M_MISSING_TOKEN")


async def test_it_is_announced(server: ApiServer) -> None:
    features = (await server.nobody.get("/_matrix/client/versions")).json()["unstable_features"]
    assert features["org.matrix.simplified_msc3575"] is True
