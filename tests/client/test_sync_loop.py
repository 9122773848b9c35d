import asyncio
from contextlib import aclosing

import httpx
import pytest

from tests.client.wire import Line, connection, ok, refusal
from tests.homeserver import Homeserver
from tidings.client import content, rooms
from tidings.client.errors import LoginNeeded
from tidings.client.http import Http
from tidings.client.messages import send
from tidings.client.state import content_of
from tidings.client.sync_loop import Follow, follow, sync_once
from tidings.client.sync_response import SyncResponse
from tidings.protocol.events import JsonObject

ROOM = "!r:example.org"


def answer(token: str, *event_ids: str, limited: bool = False) -> httpx.Response:
    timeline = {
        "events": [{"event_id": event_id} for event_id in event_ids],
        "limited": limited,
        "prev_batch": f"before-{token}",
    }
    return ok({"next_batch": token, "rooms": {"join": {ROOM: {"timeline": timeline}}}})


def page(*event_ids: str, end: str | None = None) -> httpx.Response:
    body: JsonObject = {"chunk": [{"event_id": event_id} for event_id in event_ids]}
    return ok({**body, "end": end} if end else body)


async def take(http: Http, count: int, plan: Follow | None = None) -> list[SyncResponse]:
    taken: list[SyncResponse] = []
    async with aclosing(follow(http, plan or Follow())) as responses:
        async for response in responses:
            taken.append(response)
            if len(taken) == count:
                break
    return taken


def ids(responses: list[SyncResponse]) -> list[object]:
    return [
        event.get("event_id")
        for response in responses
        for room in response.rooms.join.values()
        for event in room.timeline.events
    ]


async def test_each_request_goes_on_from_the_last_answer() -> None:
    http, wire, _ = connection(answer("s1", "$1"), answer("s2", "$2"))
    assert ids(await take(http, 2)) == ["$1", "$2"]
    assert [request.url.params.get("since") for request in wire.requests] == [None, "s1"]


async def test_a_gap_is_filled_up_to_what_was_already_seen() -> None:
    http, wire, _ = connection(
        answer("s1", "$1", "$2"),
        answer("s2", "$7", "$8", limited=True),
        page("$6", "$5", end="t1"),
        page("$4", "$3", "$2", "$1", end="t2"),
    )
    responses = await take(http, 2)
    assert ids(responses) == [f"${n}" for n in range(1, 9)]
    assert responses[1].rooms.join[ROOM].timeline.limited is False
    pages = [(r.url.params["from"], r.url.params["to"]) for r in wire.requests[2:]]
    assert pages == [("before-s2", "s1"), ("t1", "s1")]


async def test_a_gap_too_long_to_fill_stays_visible() -> None:
    http, _, _ = connection(
        answer("s1", "$1"), answer("s2", "$9", limited=True), page("$8", "$7", end="t1")
    )
    responses = await take(http, 2, Follow(gap_events_max=2))
    assert ids(responses) == ["$1", "$7", "$8", "$9"]
    timeline = responses[1].rooms.join[ROOM].timeline
    assert (timeline.limited, timeline.prev_batch) == (True, "t1")


async def test_a_room_that_may_not_be_read_any_more_does_not_end_the_loop() -> None:
    http, _, _ = connection(
        answer("s1", "$1"), answer("s2", "$9", limited=True), refusal(403, "M_FORBIDDEN")
    )
    responses = await take(http, 2)
    assert responses[1].rooms.join[ROOM].timeline.limited is True


async def test_what_a_server_says_twice_is_handed_on_once() -> None:
    http, _, _ = connection(answer("s1", "$1"), answer("s2", "$1", "$2"))
    assert ids(await take(http, 2)) == ["$1", "$2"]


async def test_the_filter_of_the_timeline_chooses_what_fills_a_gap() -> None:
    http, wire, _ = connection(answer("s1"), answer("s2", "$9", limited=True), page())
    filter_: JsonObject = {"room": {"timeline": {"types": ["m.room.message"], "limit": 5}}}
    await take(http, 2, Follow(filter=filter_))
    assert wire.requests[2].url.params["filter"] == '{"types":["m.room.message"]}'


async def test_a_token_is_saved_only_when_its_answer_has_been_dealt_with() -> None:
    saved: list[str] = []
    http, _, _ = connection(answer("s1"), answer("s2"), answer("s3"))
    async with aclosing(follow(http, Follow(save_since=saved.append))) as responses:
        await anext(responses)
        assert saved == []
        await anext(responses)
        assert saved == ["s1"]


async def test_the_loop_outlives_failures_that_pass() -> None:
    failures = [httpx.ConnectError("refused")] * 30
    http, _, watch = connection(
        answer("s1", "$1"), *failures, refusal(503, "X"), answer("s2", "$2")
    )
    assert ids(await take(http, 2)) == ["$1", "$2"]
    assert len(watch.sleeps) == 31


async def test_the_loop_ends_when_the_login_does() -> None:
    http, _, _ = connection(answer("s1"), refusal(401, "M_UNKNOWN_TOKEN"))
    with pytest.raises(LoginNeeded):
        await take(http, 2)


async def test_nothing_is_lost_or_doubled_on_a_real_server_behind_a_bad_line(
    server: Homeserver,
) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom(name="talk"))
    async with Line(server.base_url) as line, asyncio.timeout(60), asyncio.TaskGroup() as group:
        reader = server.track(Http(line.base_url, alice.login))
        since = (await sync_once(reader)).next_batch
        reading = group.create_task(read_texts(reader, room_id, since))
        for part in range(3):
            if part:
                await line.mend()
            for number in range(20):
                if number == 8:
                    await line.cut()
                await send(alice, room_id, content.text(f"{part}.{number}"))
        await line.mend()
        await send(alice, room_id, content.text("end"))
        sent = [f"{part}.{number}" for part in range(3) for number in range(20)]
        assert await reading == [*sent, "end"]


async def read_texts(http: Http, room_id: str, since: str) -> list[str]:
    """What is said in a room up to the word `end`, by short timelines."""
    filter_: JsonObject = {"room": {"timeline": {"limit": 4, "types": ["m.room.message"]}}}
    texts: list[str] = []
    async with aclosing(follow(http, Follow(since=since, filter=filter_))) as responses:
        async for response in responses:
            if room := response.rooms.join.get(room_id):
                texts.extend(str(content_of(event)["body"]) for event in room.timeline.events)
            if texts[-1:] == ["end"]:
                break
    return texts
