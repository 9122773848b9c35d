"""The list of what somebody was notified of."""

from typing import Any
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


async def listed(person: Person, **query: str | int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await done(person.get("/notifications", **query)))[
        "notifications"
    ]
    return found


def ids(notifications: list[dict[str, Any]]) -> list[str]:
    return [each["event"]["event_id"] for each in notifications]


async def people(server: ApiServer) -> tuple[Person, Person, str]:
    alice, bob = await server.user("alice"), await server.user("bob")
    return alice, bob, await create_room(alice, bob)


async def test_a_notification_tells_the_event_and_what_it_did(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    event_id = await send(alice, room_id, **mentioning(bob))
    (shown,) = await listed(bob)
    assert shown["event"]["event_id"] == event_id
    assert shown["event"]["content"]["body"] == "hello"
    assert "room_id" not in shown["event"]
    assert (shown["room_id"], shown["read"], shown["ts"]) == (room_id, False, server.clock())
    sound = {"set_tweak": "sound", "value": "default"}
    assert shown["actions"] == ["notify", sound, {"set_tweak": "highlight"}]


async def test_the_newest_of_all_rooms_come_first(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    other = await create_room(alice, bob)
    sent = [await send(alice, each) for each in (room_id, other, other, room_id)]
    assert ids(await listed(bob)) == sent[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_hold_everything_once(server: ApiServer, limit: int) -> None:
    alice, bob, room_id = await people(server)
    other = await create_room(alice, bob)
    sent = [await send(alice, (room_id, other)[number % 3 == 0]) for number in range(8)]
    found: list[str] = []
    query: dict[str, str | int] = {"limit": limit}
    while True:
        page = await done(bob.get("/notifications", **query))
        assert len(page["notifications"]) <= limit
        found += ids(page["notifications"])
        if "next_token" not in page:
            break
        query["from"] = page["next_token"]
    assert found == sent[::-1]


async def test_long_histories_of_many_rooms_are_paged(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    rooms = [room_id, *[await create_room(alice, bob) for _ in range(33)]]
    sent = [await send(alice, each) for each in rooms]
    sent += [await send(alice, room_id) for _ in range(210)]
    sent += [await send(alice, rooms[20])]
    found: list[str] = []
    query: dict[str, str | int] = {"limit": 100}
    while query.get("from") != "":
        page = await done(bob.get("/notifications", **query))
        found += ids(page["notifications"])
        query["from"] = page.get("next_token", "")
    assert found == sent[::-1]


async def test_only_highlights(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    await send(alice, room_id)
    named = await send(alice, room_id, **mentioning(bob))
    await send(alice, room_id)
    assert ids(await listed(bob, only="highlight")) == [named]


async def test_what_was_read_is_told_as_read(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    first = await send(alice, room_id)
    reply = await send(alice, room_id, **in_thread(first))
    second = await send(alice, room_id)
    await read(bob, room_id, first, thread_id="main")
    shown = {each["event"]["event_id"]: each["read"] for each in await listed(bob)}
    assert shown == {first: True, reply: False, second: False}


async def test_what_did_not_notify_is_not_listed(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    carol = await server.user("carol")
    muted, left = await create_room(alice, bob), await create_room(alice, bob)
    await done(bob.put(f"/pushrules/global/room/{quote(muted, safe='')}", {"actions": []}))
    await done(carol.post(f"{room_path(room_id)}/join"))
    await send(carol, room_id)
    ignored: dict[str, object] = {"ignored_users": {carol.user_id: {}}}
    await done(bob.put(f"{user_path(bob)}/account_data/m.ignored_user_list", ignored))
    await send(bob, room_id)
    await send(alice, muted)
    await send(alice, left)
    await done(bob.post(f"{room_path(left)}/leave"))
    await redact(alice, room_id, await send(alice, room_id))
    assert await listed(bob) == []
    await send(alice, left)
    await done(bob.post(f"{room_path(left)}/join"))
    assert await listed(bob) == []


@pytest.mark.parametrize("query", [{"from": "x"}, {"from": "-1"}, {"limit": "x"}, {"limit": 0}])
async def test_questions_that_make_no_sense(server: ApiServer, query: dict[str, str | int]) -> None:
    bob = await server.user("bob")
    assert problem(await bob.get("/notifications", **query)) == (400, "M_INVALID_PARAM")
