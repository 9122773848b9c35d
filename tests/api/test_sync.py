import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import (
    account_data_in,
    create_room,
    done,
    ephemeral,
    redact,
    room_of,
    room_path,
    send,
    sync,
    user_path,
)
from tests.api.listening import until
from tests.api.server import ApiServer, Person, problem

Json = dict[str, Any]


def with_filter(**parts: object) -> dict[str, str]:
    """The query that names a filter of rooms."""
    return {"filter": json.dumps({"room": parts})}


def limit(most: int, **more: object) -> dict[str, str]:
    return with_filter(timeline={"limit": most, **more})


LAZY = with_filter(state={"lazy_load_members": True}, timeline={"limit": 1})
REDUNDANT = with_filter(
    state={"lazy_load_members": True, "include_redundant_members": True}, timeline={"limit": 1}
)


def bodies(room: Json) -> list[str]:
    """What the messages of a room's timeline say."""
    events = room.get("timeline", {}).get("events", [])
    return [event["content"].get("body") for event in events if event["type"] == "m.room.message"]


def types(section: Json) -> list[str]:
    return [event["type"] for event in section["events"]]


def members(room: Json, part: str = "state") -> set[str]:
    """Whose member events a part of a room holds."""
    events = room[part]["events"]
    return {event["state_key"] for event in events if event["type"] == "m.room.member"}


async def set_state(who: Person, room_id: str, type_: str, content: Json, key: str = "") -> str:
    path = f"{room_path(room_id)}/state/{type_}/{quote(key, safe='')}"
    event_id: str = (await done(who.put(path, content)))["event_id"]
    return event_id


async def act(who: Person, what: str, room_id: str, **body: object) -> None:
    """Join, leave, invite, kick, ban …"""
    await done(who.post(f"{room_path(room_id)}/{what}", body))


# --- the first sync ----------------------------------------------------------------------------


async def test_who_has_nothing_is_told_their_push_rules(server: ApiServer) -> None:
    told = await sync(await server.user("alice"))
    assert "rooms" not in told
    assert "global" in account_data_in(told)["m.push_rules"]


async def test_a_first_sync_shows_state_and_what_follows_it(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, name="Tea")
    await send(alice, room_id, "one")
    await set_state(alice, room_id, "m.room.topic", {"topic": "Old"})
    for body in ("two", "three"):
        await send(alice, room_id, body)
    await set_state(alice, room_id, "m.room.topic", {"topic": "New"})
    room = room_of(await sync(bob, **limit(3)), room_id)
    assert room["timeline"]["limited"] is True
    assert bodies(room) == ["two", "three"]
    topics = [e["content"] for e in room["state"]["events"] if e["type"] == "m.room.topic"]
    assert topics == [{"topic": "Old"}], "the state is that before the timeline"
    assert members(room) == {alice.user_id, bob.user_id}
    assert room["summary"]["m.joined_member_count"] == 2
    page = await done(
        bob.get(
            f"{room_path(room_id)}/messages", dir="b", **{"from": room["timeline"]["prev_batch"]}
        )
    )
    assert types({"events": page["chunk"]})[:2] == ["m.room.topic", "m.room.message"]


async def test_the_state_after_the_timeline_is_there_for_the_asking(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    await set_state(alice, room_id, "m.room.topic", {"topic": "New"})
    first = await sync(alice, use_state_after="true", **limit(1))
    room = room_of(first, room_id)
    assert "state" not in room
    assert "m.room.topic" in types(room["state_after"])
    await set_state(alice, room_id, "m.room.name", {"name": "N"})
    await send(alice, room_id)
    room = room_of(await sync(alice, first["next_batch"], use_state_after="true"), room_id)
    assert types(room["state_after"]) == ["m.room.name"]
    assert types(room["timeline"]) == ["m.room.name", "m.room.message"]


async def test_a_short_history_is_whole(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    room = room_of(await sync(alice, **limit(50)), room_id)
    assert room["timeline"]["limited"] is False
    assert types(room["timeline"])[0] == "m.room.create"
    assert room["state"]["events"] == []


async def test_a_timeline_may_be_left_out(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice, name="Tea")
    first = await sync(alice, **limit(0))
    room = room_of(first, room_id)
    assert room["timeline"]["events"] == []
    assert room["timeline"]["limited"] is True
    assert "m.room.name" in types(room["state"])
    await set_state(alice, room_id, "m.room.name", {"name": "Coffee"})
    room = room_of(await sync(alice, first["next_batch"], **limit(0)), room_id)
    assert [e["content"] for e in room["state"]["events"]] == [{"name": "Coffee"}]


# --- what is new -------------------------------------------------------------------------------


async def test_without_news_the_token_stays(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    since = (await sync(alice))["next_batch"]
    await create_room(bob)
    for timeout in (0, 20):
        told = await sync(alice, since, timeout=timeout)
        assert told["next_batch"] == since
        assert "rooms" not in told


async def test_another_filter_sees_what_the_first_did_not(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    since = (await sync(alice))["next_batch"]
    await send(alice, room_id, "hidden")
    hiding = with_filter(not_rooms=[room_id])
    assert (await sync(alice, since, **hiding))["next_batch"] == since
    assert bodies(room_of(await sync(alice, since), room_id)) == ["hidden"]


async def test_a_poll_ends_with_the_news(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    poll = asyncio.create_task(sync(bob, since, timeout=20_000))
    await until(lambda: server.server.feed.waiting == 1)
    await send(alice, room_id, "wake up")
    assert bodies(room_of(await poll, room_id)) == ["wake up"]
    assert server.server.feed.waiting == 0


async def test_a_gap_comes_with_the_state_that_changed_in_it(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    await set_state(alice, room_id, "m.room.topic", {"topic": "1"})
    await set_state(alice, room_id, "m.room.topic", {"topic": "2"})
    for number in range(3):
        await send(alice, room_id, str(number))
    room = room_of(await sync(bob, since, **limit(2)), room_id)
    assert room["timeline"]["limited"] is True
    assert bodies(room) == ["1", "2"]
    assert [e["content"] for e in room["state"]["events"]] == [{"topic": "2"}]
    page = await done(
        bob.get(
            f"{room_path(room_id)}/messages", dir="b", **{"from": room["timeline"]["prev_batch"]}
        )
    )
    assert page["chunk"][0]["content"]["body"] == "0"


async def test_state_that_the_filter_hides_from_the_timeline_is_told_as_state(
    server: ApiServer,
) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    messages = limit(10, types=["m.room.message"])
    since = (await sync(alice, **messages))["next_batch"]
    await set_state(alice, room_id, "m.room.topic", {"topic": "1"})
    room = room_of(await sync(alice, since, **messages), room_id)
    assert (types(room["timeline"]), types(room["state"])) == ([], ["m.room.topic"])


async def test_a_redaction_out_of_sight_is_told_by_the_emptied_state(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    named = await set_state(alice, room_id, "m.room.topic", {"topic": "secret"})
    since = (await sync(alice))["next_batch"]
    await redact(alice, room_id, named)
    for number in range(2):
        await send(alice, room_id, str(number))
    room = room_of(await sync(alice, since, **limit(1)), room_id)
    assert [(e["type"], e["content"]) for e in room["state"]["events"]] == [("m.room.topic", {})]


async def test_the_whole_state_may_be_asked_for_again(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    quiet = await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    await send(alice, room_id)
    told = await sync(bob, since, full_state="true")
    assert types(room_of(told, room_id)["timeline"]) == ["m.room.message"]
    for each in (room_id, quiet):
        assert "m.room.create" in types(room_of(told, each)["state"])
    assert room_of(told, quiet)["timeline"]["events"] == []


async def test_ones_own_transaction_is_shown_to_the_device_alone(server: ApiServer) -> None:
    alice = await server.user("alice")
    other = await server.log_in("alice")
    room_id = await create_room(alice)
    since = (await sync(alice))["next_batch"]
    path = f"{room_path(room_id)}/send/m.room.message/my-own"
    await done(alice.put(path, {"msgtype": "m.text", "body": "x"}))
    for device, expected in ((alice, "my-own"), (other, None)):
        (event,) = room_of(await sync(device, since), room_id)["timeline"]["events"]
        assert event["unsigned"].get("transaction_id") == expected


@pytest.mark.parametrize("since", ["", "s", "x1", "s-1", "s1.5", "s٣", "s99999999999999999999"])
async def test_a_token_that_is_none(server: ApiServer, since: str) -> None:
    alice = await server.user("alice")
    answer = await alice.get("/sync", since=since)
    assert (answer.status_code, since) in {(200, ""), (400, since)}
    if since:
        assert problem(answer) == (400, "M_INVALID_PARAM")


async def test_a_token_that_was_not_handed_out_yet(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert problem(await alice.get("/sync", since="s9999")) == (400, "M_INVALID_PARAM")


# --- members, loaded lazily --------------------------------------------------------------------


async def test_members_come_when_they_are_seen_to_act(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob, carol)
    await send(alice, room_id)
    first = await sync(bob, **LAZY)
    assert members(room_of(first, room_id)) == {alice.user_id, bob.user_id}
    since = first["next_batch"]
    await send(alice, room_id)
    again = await sync(bob, since, **LAZY)
    assert members(room_of(again, room_id)) == set(), "it was sent with the first sync"
    await send(carol, room_id)
    later = await sync(bob, again["next_batch"], **LAZY)
    assert members(room_of(later, room_id)) == {carol.user_id}
    redundant = await sync(bob, again["next_batch"], **REDUNDANT)
    assert members(room_of(redundant, room_id)) == {carol.user_id}


async def test_members_of_a_lost_answer_are_sent_again(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    await send(bob, room_id)
    since = (await sync(bob, **LAZY))["next_batch"]
    await send(alice, room_id)
    for _ in range(2):
        assert members(room_of(await sync(bob, since, **LAZY), room_id)) == {alice.user_id}
    newer = (await sync(bob, since, **LAZY))["next_batch"]
    await send(alice, room_id)
    assert members(room_of(await sync(bob, newer, **LAZY), room_id)) == set()
    told = await sync(bob, since, **LAZY)
    assert members(room_of(told, room_id)) == {alice.user_id}, "the device went back"


async def test_members_are_told_anew_to_who_comes_back(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    await send(alice, room_id)
    since = (await sync(bob, **LAZY))["next_batch"]
    since = (await sync(bob, since, **LAZY))["next_batch"]
    await act(bob, "leave", room_id)
    since = (await sync(bob, since, **LAZY))["next_batch"]
    await act(bob, "join", room_id)
    await send(alice, room_id)
    assert alice.user_id in members(room_of(await sync(bob, since, **LAZY), room_id))


async def test_a_sender_who_changed_since_is_shown_as_they_were(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    wide = with_filter(state={"lazy_load_members": True}, timeline={"limit": 10})
    await send(bob, room_id)
    since = (await sync(bob, **LAZY))["next_batch"]
    await send(alice, room_id)
    await done(alice.put(f"/profile/{quote(alice.user_id)}/displayname", {"displayname": "New"}))
    room = room_of(await sync(bob, since, **wide), room_id)
    (before,) = room["state"]["events"]
    assert (before["state_key"], before["content"]) == (alice.user_id, {"membership": "join"})
    assert types(room["timeline"]) == ["m.room.message", "m.room.member"]


# --- coming and going --------------------------------------------------------------------------


async def test_an_invitation_shows_what_the_room_is(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    since = (await sync(bob))["next_batch"]
    room_id = await create_room(alice, preset="private_chat", name="Secret", topic="Not yet")
    await send(alice, room_id, "hidden")
    await act(alice, "invite", room_id, user_id=bob.user_id)
    for told in (await sync(bob, since), await sync(bob)):
        events = told["rooms"]["invite"][room_id]["invite_state"]["events"]
        shown = {(event["type"], event["state_key"]): event["content"] for event in events}
        assert shown["m.room.name", ""] == {"name": "Secret"}
        assert shown["m.room.member", bob.user_id]["membership"] == "invite"
        assert shown["m.room.member", alice.user_id]["membership"] == "join"
        assert ("m.room.create", "") in shown
        assert all(event.keys() == {"type", "state_key", "sender", "content"} for event in events)
        assert "hidden" not in str(told)
    assert "rooms" not in await sync(bob, (await sync(bob, since))["next_batch"])


async def test_invitations_of_the_ignored_are_not_shown(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    path = f"{user_path(bob)}/account_data/m.ignored_user_list"
    await done(bob.put(path, {"ignored_users": {alice.user_id: {}}}))
    since = (await sync(bob))["next_batch"]
    await create_room(alice, invite=[bob.user_id])
    assert "rooms" not in await sync(bob)
    assert "rooms" not in await sync(bob, since)


async def test_what_the_ignored_say_is_not_shown_but_what_they_change(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob, carol)
    path = f"{user_path(bob)}/account_data/m.ignored_user_list"
    await done(bob.put(path, {"ignored_users": {alice.user_id: {}}}))
    since = (await sync(bob))["next_batch"]
    await send(alice, room_id, "ignored")
    await send(carol, room_id, "heard")
    await set_state(alice, room_id, "m.room.topic", {"topic": "T"})
    for told in (await sync(bob, since), await sync(bob)):
        room = room_of(told, room_id)
        assert bodies(room) == ["heard"]
        assert types(room["timeline"])[-1] == "m.room.topic"


async def test_a_room_one_has_knocked_at(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room_id = await create_room(alice, initial_state=[rules])
    since = (await sync(bob))["next_batch"]
    await done(bob.post(f"/knock/{quote(room_id)}", {"reason": "please"}))
    for told in (await sync(bob, since), await sync(bob)):
        events = told["rooms"]["knock"][room_id]["knock_state"]["events"]
        own = [event for event in events if event["state_key"] == bob.user_id]
        assert own[0]["content"] == {"membership": "knock", "reason": "please"}


@pytest.mark.parametrize("how", ["leave", "kick", "ban"])
async def test_a_room_one_is_no_longer_in(server: ApiServer, how: str) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    await send(alice, room_id, "before")
    if how == "leave":
        await act(bob, "leave", room_id)
    else:
        await act(alice, how, room_id, user_id=bob.user_id)
    await send(alice, room_id, "after")
    told = await sync(bob, since)
    left = told["rooms"]["leave"][room_id]
    assert bodies(left) == ["before"]
    last = left["timeline"]["events"][-1]
    assert last["content"]["membership"] == ("ban" if how == "ban" else "leave")
    assert "rooms" not in await sync(bob, told["next_batch"])
    assert "rooms" not in await sync(bob)


async def test_rooms_left_are_shown_to_who_asks_for_them(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    rooms = [await create_room(alice, bob, name=name) for name in ("left", "forgotten")]
    for room_id in rooms:
        await act(bob, "leave", room_id)
        await set_state(alice, room_id, "m.room.topic", {"topic": "unseen"})
    await act(bob, "forget", rooms[1])
    told = await sync(bob, **with_filter(include_leave=True, timeline={"limit": 1}))
    assert set(told["rooms"]["leave"]) == {rooms[0]}
    left = told["rooms"]["leave"][rooms[0]]
    assert types(left["timeline"]) == ["m.room.member"]
    assert "m.room.name" in types(left["state"])
    assert "unseen" not in str(told)


async def test_who_left_and_forgot_is_told_that_they_left(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    other = await server.log_in("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(other))["next_batch"]
    await act(bob, "leave", room_id)
    await act(bob, "forget", room_id)
    assert room_id in (await sync(other, since))["rooms"]["leave"]


async def test_a_rejected_invitation_is_a_room_left(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, preset="private_chat", invite=[bob.user_id])
    since = (await sync(bob))["next_batch"]
    await act(bob, "leave", room_id)
    told = await sync(bob, since)
    assert room_id in told["rooms"]["leave"]
    assert "invite" not in told["rooms"]


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        ("joined", ["after"]),
        ("invited", ["invited", "after"]),
        ("shared", ["before", "invited", "after"]),
        ("world_readable", ["before", "invited", "after"]),
    ],
)
async def test_history_is_shown_as_far_as_the_room_lets(
    server: ApiServer, visibility: str, expected: list[str]
) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    rule = {"history_visibility": visibility}
    state = {"type": "m.room.history_visibility", "state_key": "", "content": rule}
    room_id = await create_room(alice, preset="private_chat", initial_state=[state])
    since = (await sync(bob))["next_batch"]
    await send(alice, room_id, "before")
    await act(alice, "invite", room_id, user_id=bob.user_id)
    await send(alice, room_id, "invited")
    await act(bob, "join", room_id)
    await send(alice, room_id, "after")
    for told in (await sync(bob, since, **limit(50)), await sync(bob, **limit(50))):
        room = room_of(told, room_id)
        assert bodies(room) == expected
        if visibility in {"joined", "invited"}:
            assert room["timeline"]["limited"] is True
        assert "m.room.create" in types(room["state"]) + types(room["timeline"])


async def test_a_room_joined_since_is_told_whole(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    since = (await sync(bob))["next_batch"]
    room_id = await create_room(alice, name="Tea")
    old = await send(alice, room_id, "old")
    await done(alice.post(f"{room_path(room_id)}/receipt/m.read/{quote(old)}"))
    between = (await sync(bob, since))["next_batch"]
    path = f"{user_path(bob)}/rooms/{quote(room_id)}/account_data/org.example"
    await done(bob.put(path, {"early": True}))
    between = (await sync(bob, between))["next_batch"]
    await act(bob, "join", room_id)
    room = room_of(await sync(bob, between, **limit(2)), room_id)
    assert {"m.room.create", "m.room.name"} <= set(types(room["state"]))
    assert bodies(room) == ["old"]
    assert room["unread_notifications"]["notification_count"] == 0, "from before the joining"
    assert account_data_in(room)["org.example"] == {"early": True}
    receipts = [e for e in room["ephemeral"]["events"] if e["type"] == "m.receipt"]
    assert old in receipts[0]["content"]


async def test_a_room_come_back_to_begins_a_new_timeline(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    await act(bob, "leave", room_id)
    await act(bob, "join", room_id)
    timeline = room_of(await sync(bob, since, **limit(50)), room_id)["timeline"]
    assert timeline["limited"] is True, "or its events would be there twice"
    assert types(timeline)[0] == "m.room.create"


# --- the rest of a room ------------------------------------------------------------------------


@pytest.mark.parametrize("is_stored", [False, True])
async def test_that_somebody_stopped_typing_is_news(server: ApiServer, is_stored: bool) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    path = f"{room_path(room_id)}/typing/{quote(alice.user_id)}"
    await done(alice.put(path, {"typing": True, "timeout": 5000}))
    since = (await sync(bob))["next_batch"]
    await done(alice.put(path, {"typing": False}))
    if is_stored:
        server.server.feed.floor = server.server.feed.position
    told = await sync(bob, since)
    assert ephemeral(told, room_id, "m.typing") == {"user_ids": []}
    await send(alice, room_id)
    told = await sync(bob, told["next_batch"])
    assert ephemeral(told, room_id, "m.typing") is None


async def test_rooms_without_a_name_are_called_after_people(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob)
    first = await sync(alice)
    assert room_of(first, room_id)["summary"]["m.heroes"] == [bob.user_id]
    await act(carol, "join", room_id)
    told = await sync(alice, first["next_batch"])
    summary = room_of(told, room_id)["summary"]
    assert summary == {
        "m.heroes": [bob.user_id, carol.user_id],
        "m.joined_member_count": 3,
        "m.invited_member_count": 0,
    }
    await set_state(alice, room_id, "m.room.name", {"name": "Tea"})
    assert "m.heroes" not in room_of(await sync(alice), room_id)["summary"]
    await set_state(alice, room_id, "m.room.name", {"name": ""})
    since = told["next_batch"]
    for told in (await sync(alice), await sync(alice, since)):
        assert room_of(told, room_id)["summary"]["m.heroes"] == [bob.user_id, carol.user_id]


async def test_receipts_in_a_room_and_in_its_thread_are_both_told(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    event_id = await send(alice, room_id)
    path = f"{room_path(room_id)}/receipt/m.read/{quote(event_id)}"
    await done(bob.post(path, {}))
    await done(bob.post(path, {"thread_id": "main"}))
    for told in (await sync(alice, since), await sync(alice)):
        events = room_of(told, room_id)["ephemeral"]["events"]
        said = [
            event["content"][event_id]["m.read"][bob.user_id].get("thread_id") for event in events
        ]
        assert said == [None, "main"]


async def test_filters_leave_rooms_and_types_out(server: ApiServer) -> None:
    alice = await server.user("alice")
    shown, hidden = await create_room(alice), await create_room(alice)
    since = (await sync(alice))["next_batch"]
    for room_id in (shown, hidden):
        await send(alice, room_id, "text")
        await done(alice.put(f"{room_path(room_id)}/send/org.other/{room_id}", {}))
    chosen = with_filter(
        rooms=[shown], timeline={"not_types": ["org.*"]}, state={"types": ["m.room.name"]}
    )
    for told in (await sync(alice, since, **chosen), await sync(alice, **chosen)):
        assert set(told["rooms"]["join"]) == {shown}
        room = room_of(told, shown)
        assert "org.other" not in types(room["timeline"])
        assert room["state"]["events"] == []


async def test_the_number_of_queries_does_not_grow_with_rooms(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    database = server.server.db

    async def cost(**query: str) -> int:
        before = database.queries
        await sync(bob, **query)
        return database.queries - before

    async def stored() -> int:
        server.server.feed.floor = server.server.feed.position
        return await cost(since=since)

    rooms = [await create_room(alice, bob)]
    since = (await sync(bob))["next_batch"]
    await send(alice, rooms[0])
    few = (await cost(since=since), await stored(), await cost())
    rooms += [await create_room(alice, bob) for _ in range(8)]
    since = (await sync(bob))["next_batch"]
    await send(alice, rooms[-1])
    many = (await cost(since=since), await stored(), await cost())
    assert many[0] == few[0] == 0, "out of memory"
    assert many[1] <= few[1]
    assert many[2] <= few[2]
