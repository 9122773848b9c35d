import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import create_room, done, redact, room_of, room_path, send, sync
from tests.api.server import ApiServer, Person, problem

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")


async def page(person: Person, room_id: str, **query: str | int) -> dict[str, Any]:
    query = {"dir": "b", **query}
    return await done(person.get(f"{room_path(room_id)}/messages", **query))


async def walk(person: Person, room_id: str, **query: str | int) -> list[str]:
    """Every event that pages lead to, one after the other."""
    seen: list[str] = []
    while True:
        answer = await page(person, room_id, **query)
        assert len(answer["chunk"]) <= int(query["limit"])
        seen += [event["event_id"] for event in answer["chunk"]]
        if "end" not in answer:
            return seen
        query["from"] = answer["end"]


def bodies(answer: dict[str, Any]) -> list[str]:
    return [event["content"]["body"] for event in answer["chunk"] if "body" in event["content"]]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_lead_through_all_history_both_ways(server: ApiServer, limit: int) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    sent = [await send(alice, room_id, str(n)) for n in range(7)]
    back = await walk(alice, room_id, limit=limit)
    assert back[:7] == sent[::-1]
    assert len(back) == len(set(back))
    assert await walk(alice, room_id, dir="f", limit=limit) == back[::-1]


async def test_a_syncs_prev_batch_leads_to_what_came_before(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    sent = [await send(alice, room_id, str(n)) for n in range(9)]
    few = '{"room":{"timeline":{"limit":3}}}'
    timeline = room_of(await sync(alice, filter=few), room_id)["timeline"]
    assert timeline["limited"]
    shown = [event["event_id"] for event in timeline["events"]]
    earlier = await page(alice, room_id, limit=4, **{"from": timeline["prev_batch"]})
    assert [event["event_id"] for event in earlier["chunk"]] + shown[::-1] == [
        *sent[2:6][::-1],
        *sent[6:][::-1],
    ]
    onwards = await page(alice, room_id, dir="f", **{"from": timeline["prev_batch"]})
    assert [event["event_id"] for event in onwards["chunk"]] == shown
    assert "end" not in onwards


async def test_a_page_ends_at_the_token_it_is_told(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    await send(alice, room_id, "old")
    middle = (await sync(alice))["next_batch"]
    await send(alice, room_id, "new")
    assert bodies(await page(alice, room_id, to=middle)) == ["new"]
    assert bodies(await page(alice, room_id, dir="f", to=middle)) == ["old"]
    answer = await page(alice, room_id, dir="f", **{"from": middle})
    assert bodies(answer) == ["new"]
    assert answer["start"] == middle


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({"dir": "x"}, "M_INVALID_PARAM"),
        ({"limit": "many"}, "M_INVALID_PARAM"),
        ({"limit": "-1"}, "M_INVALID_PARAM"),
        ({"from": "nonsense"}, "M_INVALID_PARAM"),
        ({"to": "t1-2"}, "M_INVALID_PARAM"),
        ({"filter": "{"}, "M_NOT_JSON"),
        ({"filter": '{"types": 5}'}, "M_BAD_JSON"),
    ],
)
async def test_what_names_no_page(server: ApiServer, query: dict[str, str], errcode: str) -> None:
    alice = await server.user("alice")
    room = room_path(await create_room(alice))
    assert problem(await alice.get(f"{room}/messages", **{"dir": "b", **query})) == (400, errcode)
    assert problem(await alice.get(f"{room}/messages")) == (400, "M_MISSING_PARAM")


async def test_a_filter_chooses_and_pages_go_on_behind_it(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    kept = []
    for n in range(6):
        kept.append((await done(alice.put(f"{room_path(room_id)}/send/m.kept/{n}")))["event_id"])
        for _ in range(3):
            await send(alice, room_id)
    chosen = json.dumps({"types": ["m.kept"]})
    assert await walk(alice, room_id, limit=2, filter=chosen) == kept[::-1]
    assert await walk(alice, room_id, limit=2, dir="f", filter=chosen) == kept
    answer = await page(alice, room_id, filter=json.dumps({"not_types": ["m.room.*", "m.kept"]}))
    assert answer["chunk"] == []
    assert "end" not in answer
    elsewhere = json.dumps({"rooms": ["!other:localhost"]})
    assert (await page(alice, room_id, filter=elsewhere))["chunk"] == []


async def test_a_filter_that_nothing_passes_ends_in_steps(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    await done(alice.put(f"{room_path(room_id)}/send/m.rare/1"))
    for n in range(2100):
        await done(alice.put(f"{room_path(room_id)}/send/m.common/{n}"))
    rare = json.dumps({"types": ["m.rare"]})
    first = await page(alice, room_id, filter=rare)
    assert first["chunk"] == []
    second = await page(alice, room_id, filter=rare, **{"from": first["end"]})
    assert [event["type"] for event in second["chunk"]] == ["m.rare"]


async def test_lazy_loading_gives_the_senders(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob, carol)
    await send(bob, room_id, "hi")
    lazily = json.dumps({"lazy_load_members": True})
    answer = await page(alice, room_id, limit=1, filter=lazily)
    assert [event["state_key"] for event in answer["state"]] == [bob.user_id]
    await done(bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": "New"}))
    old = await page(alice, room_id, limit=1, filter=lazily, **{"from": answer["start"]})
    assert "displayname" not in old["state"][0]["content"]
    assert "state" not in await page(alice, room_id, limit=1)


async def test_history_is_seen_as_far_as_the_room_shows_it(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    content = {"history_visibility": "joined"}
    visibility = {"type": "m.room.history_visibility", "content": content}
    room_id = await create_room(alice, initial_state=[visibility])
    hidden = await send(alice, room_id, "before")
    for _ in range(2):
        await done(bob.post(f"{room_path(room_id)}/join"))
        await send(alice, room_id, "during")
        await done(bob.post(f"{room_path(room_id)}/leave"))
        await send(alice, room_id, "between")
    assert bodies(await page(bob, room_id, limit=100)) == ["during", "during"]
    forwards = await walk(bob, room_id, dir="f", limit=2)
    assert forwards == (await walk(bob, room_id, limit=2))[::-1]
    assert problem(await bob.get(f"{room_path(room_id)}/event/{quote(hidden)}")) == NOT_FOUND
    assert problem(await bob.get(f"{room_path(room_id)}/context/{quote(hidden)}")) == NOT_FOUND
    assert len(bodies(await page(alice, room_id, limit=100))) == 5


async def test_who_has_left_sees_nothing_that_came_after(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    seen = await send(alice, room_id, "seen")
    await done(bob.post(f"{room_path(room_id)}/leave"))
    unseen = await send(alice, room_id, "unseen")
    edit = {"rel_type": "m.replace", "event_id": seen}
    await send(alice, room_id, "* x", **{"m.new_content": {"body": "x"}, "m.relates_to": edit})
    assert bodies(await page(bob, room_id)) == ["seen"]
    assert problem(await bob.get(f"{room_path(room_id)}/event/{quote(unseen)}")) == NOT_FOUND
    event = await done(bob.get(f"{room_path(room_id)}/event/{quote(seen)}"))
    assert "m.relations" not in event["unsigned"]


async def test_the_viewers_membership_stands_beside_each_event(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    await send(alice, room_id, "before")
    await done(alice.post(f"{room_path(room_id)}/invite", {"user_id": bob.user_id}))
    await done(bob.post(f"{room_path(room_id)}/join"))
    await send(alice, room_id, "after")
    chunk = (await page(bob, room_id, limit=4))["chunk"]
    assert [event["unsigned"]["membership"] for event in chunk] == [
        "join",
        "join",
        "invite",
        "leave",
    ]


async def test_what_an_ignored_person_says_is_left_out(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, power_level_content_override={"state_default": 0})
    await send(bob, room_id, "noise")
    await done(bob.put(f"{room_path(room_id)}/state/m.room.topic", {"topic": "state"}))
    ignored: dict[str, object] = {"ignored_users": {bob.user_id: {}}}
    path = f"/user/{quote(alice.user_id)}/account_data/m.ignored_user_list"
    await done(alice.put(path, ignored))
    answer = await page(alice, room_id, limit=2)
    assert bodies(answer) == []
    assert answer["chunk"][0]["type"] == "m.room.topic"


async def test_an_event_in_its_context(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice, name="then")
    sent = [await send(alice, room_id, str(n)) for n in range(5)]
    await done(alice.put(f"{room_path(room_id)}/state/m.room.name", {"name": "now"}))
    path = f"{room_path(room_id)}/context/{quote(sent[2])}"
    answer = await done(alice.get(path, limit=3))
    assert answer["event"]["event_id"] == sent[2]
    assert [event["event_id"] for event in answer["events_before"]] == [sent[1]]
    assert [event["event_id"] for event in answer["events_after"]] == [sent[3], sent[4]]
    names = [e["content"] for e in answer["state"] if e["type"] == "m.room.name"]
    assert names == [{"name": "then"}]
    back = await page(alice, room_id, limit=1, **{"from": answer["start"]})
    assert back["chunk"][0]["event_id"] == sent[0]
    on = await page(alice, room_id, limit=1, dir="f", **{"from": answer["end"]})
    assert on["chunk"][0]["content"] == {"name": "now"}
    alone = await done(alice.get(path, limit=0))
    assert alone["events_before"] == alone["events_after"] == []
    lazily = await done(alice.get(path, limit=0, filter='{"lazy_load_members":true}'))
    assert {e["type"] for e in lazily["state"]} >= {"m.room.member", "m.room.create"}


async def test_events_are_found_only_in_their_room(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id, other = await create_room(alice), await create_room(alice)
    event_id = await send(alice, room_id)
    for kind in ("event", "context"):
        for where in (other, "!unknown:localhost"):
            answer = await alice.get(f"{room_path(where)}/{kind}/{quote(event_id)}")
            assert problem(answer) == NOT_FOUND
        private = await create_room(alice, preset="private_chat")
        inside = await send(alice, private)
        answers = [
            await bob.get(f"{room_path(where)}/{kind}/{quote(inside)}")
            for where in (private, "!unknown:localhost")
        ]
        assert problem(answers[0]) == NOT_FOUND
        assert answers[0].json() == answers[1].json()


async def test_the_event_nearest_to_a_time(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    sent = []
    for n in range(5):
        server.clock.advance(1000)
        sent.append((await send(alice, room_id, str(n)), server.clock.ms))
    path = f"/_matrix/client/v1{room_path(room_id)}/timestamp_to_event"
    for ts, direction, expected in (
        (sent[2][1], "f", sent[2]),
        (sent[2][1], "b", sent[2]),
        (sent[2][1] + 1, "f", sent[3]),
        (sent[2][1] + 1, "b", sent[2]),
        (0, "f", None),
        (sent[4][1] + 1, "b", sent[4]),
    ):
        answer = await done(alice.get(path, ts=ts, dir=direction))
        if expected is not None:
            assert (answer["event_id"], answer["origin_server_ts"]) == expected
    assert problem(await alice.get(path, ts=0, dir="b")) == NOT_FOUND
    assert problem(await alice.get(path, ts=sent[4][1] + 1, dir="f")) == NOT_FOUND
    assert problem(await alice.get(path, dir="f")) == (400, "M_MISSING_PARAM")
    assert problem(await alice.get(path, ts=5)) == (400, "M_MISSING_PARAM")


async def test_a_page_asks_as_few_questions_with_many_events_as_with_few(
    server: ApiServer,
) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    root = await send(alice, room_id, "root")
    for n in range(30):
        event_id = await send(alice, room_id, str(n))
        new = {"m.new_content": {"body": "x"}}
        edit = {"m.relates_to": {"rel_type": "m.replace", "event_id": event_id}}
        await send(alice, room_id, "*", **new, **edit)
        thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
        await redact(alice, room_id, await send(alice, room_id, "t", **thread))
    db = server.server.db

    async def queries(limit: int) -> int:
        before = db.queries
        await page(alice, room_id, limit=limit)
        return db.queries - before

    # A worker may ask something in between: the fewest count.
    few = min([await queries(10) for _ in range(3)])
    many = min([await queries(100) for _ in range(3)])
    assert few == many <= 8
