"""POST /search: what is found, how it is shown, and what nobody is shown."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.api.chat import create_room, done, redact, room_path, send
from tests.api.server import ApiServer, Person, problem

StartServer = Callable[..., Awaitable[ApiServer]]


async def search(
    person: Person, term: str, next_batch: str | None = None, /, **options: object
) -> dict[str, Any]:
    """The value of `room_events` in the answer."""
    path = "/search" if next_batch is None else f"/search?next_batch={next_batch}"
    body = {"search_categories": {"room_events": {"search_term": term, **options}}}
    found: dict[str, Any] = (await done(person.post(path, body)))["search_categories"]
    answer: dict[str, Any] = found["room_events"]
    return answer


def ids(found: dict[str, Any]) -> list[str]:
    return [each["result"]["event_id"] for each in found["results"]]


async def edit(person: Person, room_id: str, event_id: str, body: str) -> str:
    content = {"msgtype": "m.text", "body": body}
    relation = {"rel_type": "m.replace", "event_id": event_id}
    return await send(
        person, room_id, f"* {body}", **{"m.new_content": content, "m.relates_to": relation}
    )


async def leave(person: Person, room_id: str) -> None:
    await done(person.post(f"{room_path(room_id)}/leave"))


async def set_visibility(person: Person, room_id: str, value: str) -> None:
    path = f"{room_path(room_id)}/state/m.room.history_visibility/"
    await done(person.put(path, {"history_visibility": value}))


async def test_a_word_is_found_without_regard_to_case_and_accents(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    said = await send(alice, room_id, "We meet at the CAFÉ")
    await send(alice, room_id, "nothing of the kind")
    found = await search(alice, "cafe")
    assert ids(found) == [said]
    assert found["count"] == 1
    assert found["highlights"] == ["CAFÉ"]
    assert found["results"][0]["result"]["content"]["body"] == "We meet at the CAFÉ"
    assert found["results"][0]["result"]["room_id"] == room_id
    assert found["results"][0]["rank"] > 0
    assert "next_batch" not in found


@pytest.mark.parametrize(
    ("body", "term"),
    [
        ("我在北京工作", "北京"),
        ("東京タワーに行きました", "タワー"),
        ("서울에서 만나요", "서울"),
        ("see PLT-3699 for why", "PLT-3699"),
        ("set foo_bar-12 to 3", "foo_bar-12"),
        ("the bug is in src/app.py, I think", "src/app.py"),
        ("call fooBarBaz first", "bar"),
    ],
)
async def test_parts_of_sentences_and_identifiers_are_found(
    server: ApiServer, body: str, term: str
) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    said = await send(alice, room_id, body)
    await send(alice, room_id, "something else 别的 ほか 다른")
    assert ids(await search(alice, term)) == [said]


async def test_all_words_must_occur_and_a_phrase_in_order(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    straight = await send(alice, room_id, "the quick brown fox")
    turned = await send(alice, room_id, "a brown dog, not quick")
    await send(alice, room_id, "brown only")
    assert set(ids(await search(alice, "brown quick"))) == {straight, turned}
    assert ids(await search(alice, '"quick brown"')) == [straight]
    assert ids(await search(alice, "bro* fox")) == [straight]


async def test_names_and_topics_are_found_by_their_keys(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice, name="Harbour", topic="About the harbour")
    message = await send(alice, room_id, "the harbour is closed")
    everything = await search(alice, "harbour")
    assert {each["result"]["type"] for each in everything["results"]} == {
        "m.room.name", "m.room.topic", "m.room.message",
    }  # fmt: skip
    assert ids(await search(alice, "harbour", keys=["content.body"])) == [message]
    named = await search(alice, "harbour", keys=["content.name"])
    assert [each["result"]["type"] for each in named["results"]] == ["m.room.name"]


async def test_recent_is_the_order_of_saying_and_rank_prefers_the_closer_match(
    server: ApiServer,
) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    close = await send(alice, room_id, "release notes")
    far = await send(alice, room_id, "notes on the lunch we had after the release " + "word " * 40)
    assert ids(await search(alice, "release notes")) == [close, far]
    assert ids(await search(alice, "release notes", order_by="recent")) == [far, close]


@pytest.mark.parametrize("order_by", ["recent", "rank"])
async def test_pages_hold_every_answer_once(server: ApiServer, order_by: str) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    said = [await send(alice, room_id, f"needle number {number}") for number in range(7)]
    found: list[str] = []
    next_batch = None
    counts = set()
    for _ in range(10):
        page = await search(alice, "needle", next_batch, order_by=order_by, filter={"limit": 3})
        found += ids(page)
        counts.add(page["count"])
        await send(alice, room_id, "another needle, said while reading")
        next_batch = page.get("next_batch")
        if next_batch is None:
            break
    assert sorted(found) == sorted(said)
    assert counts == {7}
    if order_by == "recent":
        assert found == said[::-1]


async def test_groups_have_their_answers_and_their_own_pages(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    one, other = await create_room(alice, bob), await create_room(alice, bob)
    in_one = [await send(alice, one, f"needle {n}") for n in range(3)]
    in_other = [await send(bob, other, "needle elsewhere")]
    group_by = {"group_by": [{"key": "room_id"}, {"key": "sender"}]}
    options: dict[str, Any] = {
        "order_by": "recent", "groupings": group_by, "filter": {"limit": 2},
    }  # fmt: skip
    found = await search(alice, "needle", **options)
    rooms = found["groups"]["room_id"]
    assert rooms[other] == {"order": 1, "results": in_other}
    assert rooms[one]["results"] == [in_one[2]]
    assert set(found["groups"]["sender"]) == {alice.user_id, bob.user_id}
    rest = await search(alice, "needle", rooms[one]["next_batch"], **options)
    assert ids(rest) == [in_one[1], in_one[0]]
    assert "next_batch" not in rest


async def test_context_profiles_and_state_come_along(server: ApiServer) -> None:
    alice = await server.user("alice")
    await done(alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice"}))
    room_id = await create_room(alice, name="Den")
    before = await send(alice, room_id, "before")
    said = await send(alice, room_id, "needle")
    after = await send(alice, room_id, "after")
    around = {"before_limit": 1, "after_limit": 1, "include_profile": True}
    found = await search(alice, "needle", event_context=around, include_state=True)
    assert ids(found) == [said]
    context = found["results"][0]["context"]
    assert [event["event_id"] for event in context["events_before"]] == [before]
    assert [event["event_id"] for event in context["events_after"]] == [after]
    assert context["profile_info"][alice.user_id] == {"displayname": "Alice"}
    earlier = await done(
        alice.get(f"{room_path(room_id)}/messages", dir="b", limit=1, **{"from": context["start"]})
    )
    assert earlier["chunk"][0]["event_id"] not in {before, said, after}
    later = await done(
        alice.get(f"{room_path(room_id)}/messages", dir="f", **{"from": context["end"]})
    )
    assert later["chunk"] == []
    types = {event["type"] for event in found["state"][room_id]}
    assert {"m.room.create", "m.room.name", "m.room.member"} <= types
    assert "context" not in (await search(alice, "needle"))["results"][0]
    defaults = (await search(alice, "needle", event_context={}))["results"][0]["context"]
    assert len(defaults["events_before"]) == 5


async def test_the_filter_chooses_rooms_senders_types_and_urls(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    one, other = await create_room(alice, bob, name="needle"), await create_room(alice, bob)
    mine = await send(alice, one, "needle")
    his = await send(bob, other, "needle")
    picture = await send(bob, other, "needle.png", msgtype="m.image", url="mxc://x/y")

    async def found(**chosen: object) -> set[str]:
        return set(ids(await search(alice, "needle", keys=["content.body"], filter=chosen)))

    assert await found(rooms=[one]) == {mine}
    assert await found(not_rooms=[one]) == {his, picture}
    assert await found(senders=[bob.user_id]) == {his, picture}
    assert await found(not_senders=[bob.user_id]) == {mine}
    assert await found(types=["m.room.name"]) == set()
    assert await found(contains_url=True) == {picture}
    assert await found(rooms=[]) == set()


async def test_an_edit_is_found_by_its_new_words_only(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    said = await send(alice, room_id, "teh oldword")
    assert ids(await search(alice, "oldword")) == [said]
    first = await edit(alice, room_id, said, "the middleword")
    assert ids(await search(alice, "middleword")) == [said]
    server.clock.advance(1_000)
    latest = await edit(alice, room_id, said, "the newword")
    found = await search(alice, "newword")
    assert ids(found) == [said]
    bundled = found["results"][0]["result"]["unsigned"]["m.relations"]["m.replace"]
    assert bundled["event_id"] == latest
    assert ids(await search(alice, "oldword")) == []
    assert ids(await search(alice, "middleword")) == []
    await redact(alice, room_id, latest)
    assert ids(await search(alice, "newword")) == []
    assert ids(await search(alice, "middleword")) == [said]
    await redact(alice, room_id, first)
    assert ids(await search(alice, "oldword")) == [said]


async def test_nobody_edits_the_words_of_others(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    said = await send(alice, room_id, "truth")
    await edit(bob, room_id, said, "falsehood")
    assert ids(await search(alice, "truth")) == [said]
    assert ids(await search(alice, "falsehood")) == []


async def test_what_was_redacted_is_not_found(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    said = await send(alice, room_id, "secretword")
    assert ids(await search(alice, "secretword")) == [said]
    await redact(alice, room_id, said)
    found = await search(alice, "secretword")
    assert (ids(found), found["count"], found["highlights"]) == ([], 0, [])


async def test_what_was_redacted_before_it_was_indexed_is_not_found(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    kept = await send(alice, room_id, "secretword kept")
    gone = await send(alice, room_id, "secretword gone")
    changed = await edit(alice, room_id, kept, "secretword changed")
    await redact(alice, room_id, gone)
    await redact(alice, room_id, changed)
    assert ids(await search(alice, "secretword")) == [kept]
    assert ids(await search(alice, "changed")) == []


async def test_encrypted_and_unknown_events_are_not_indexed(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    for type_ in ("m.room.encrypted", "org.example.note"):
        body = {"body": "hiddenword", "ciphertext": "hiddenword", "algorithm": "hiddenword"}
        await done(alice.put(f"{room_path(room_id)}/send/{type_}/{type_}", body))
    await send(alice, room_id, "nothing", body=7)
    assert ids(await search(alice, "hiddenword")) == []


async def test_strangers_invited_and_banned_find_nothing_they_may_not_read(
    server: ApiServer,
) -> None:
    alice, bob, carol, dave = [await server.user(n) for n in ("alice", "bob", "carol", "dave")]
    room_id = await create_room(alice, bob)
    await done(alice.post(f"{room_path(room_id)}/invite", {"user_id": carol.user_id}))
    before = await send(alice, room_id, "needle before the ban")
    await done(alice.post(f"{room_path(room_id)}/ban", {"user_id": bob.user_id}))
    await send(alice, room_id, "needle after the ban")
    for person in (carol, dave):
        for chosen in ({}, {"rooms": [room_id]}):
            found = await search(person, "needle", filter=chosen)
            assert (found["results"], found["count"], found["highlights"]) == ([], 0, [])
    found = await search(bob, "needle", event_context={}, include_state=True)
    assert ids(found) == [before]
    assert found["count"] == 1
    assert found["results"][0]["context"]["events_after"][-1]["type"] == "m.room.member"
    assert all(
        event["content"].get("body") != "needle after the ban"
        for event in found["results"][0]["context"]["events_after"]
    )


async def test_a_room_that_was_left_is_searched_up_to_the_leaving(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    before = await send(alice, room_id, "needle one")
    await leave(bob, room_id)
    await send(alice, room_id, "needle two")
    found = await search(bob, "needle")
    assert (ids(found), found["count"]) == ([before], 1)
    await edit(alice, room_id, before, "needle edited, privately")
    assert ids(await search(bob, "privately")) == []
    await done(bob.post(f"{room_path(room_id)}/forget"))
    assert ids(await search(bob, "needle")) == []


@pytest.mark.parametrize(
    ("visibility", "seen"),
    [
        ("joined", ["after joining"]),
        ("invited", ["after joining", "after the invitation"]),
        ("shared", ["after joining", "after the invitation", "before"]),
        ("world_readable", ["after joining", "after the invitation", "before"]),
    ],
)
async def test_history_visibility_holds(
    server: ApiServer, visibility: str, seen: list[str]
) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    await set_visibility(alice, room_id, visibility)
    await send(alice, room_id, "needle before")
    await done(alice.post(f"{room_path(room_id)}/invite", {"user_id": bob.user_id}))
    await send(alice, room_id, "needle after the invitation")
    await done(bob.post(f"{room_path(room_id)}/join"))
    await send(alice, room_id, "needle after joining")
    found = await search(bob, "needle", order_by="recent")
    said = [each["result"]["content"]["body"] for each in found["results"]]
    assert said == [f"needle {when}" for when in seen]
    assert found["count"] == len(seen)


async def test_ignored_people_are_not_found(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    await send(bob, room_id, "needle")
    path = f"/user/{alice.user_id}/account_data/m.ignored_user_list"
    await done(alice.put(path, {"ignored_users": {bob.user_id: {}}}))
    assert ids(await search(alice, "needle")) == []


async def test_predecessors_are_found_when_the_filter_names_them(server: ApiServer) -> None:
    alice = await server.user("alice")
    old, new = await create_room(alice), await create_room(alice)
    said = await send(alice, old, "needle in the old room")
    also = await send(alice, new, "needle in the new room")
    await leave(alice, old)
    found = await search(alice, "needle", order_by="recent", filter={"rooms": [old, new]})
    assert ids(found) == [also, said]


@pytest.mark.parametrize(
    "term",
    [
        "", " ", '"', '""', '"" ""', "'", "*", "**", "a*b*", "NEAR(a b)", "a OR b", "NOT a", "-a",
        "tokens:a", "documents MATCH", "^a", "a + b", "(a", "a) OR (1=1", "';DROP TABLE events;--",
        "& | ! <->", "a & !b", "a:*", "\\", "\\'", "·r0000000000", "\0", "a\0b", "\x1f", "%", "_",
        "needle" * 2_000, "n " * 5_000, "?$1", "猫" * 5_000, "\u0301", "🦊", "\U000e0041", "⁄½⑴",
        "a" * 70 + "_" + "b" * 70, "𝔘𝔫𝔦", "İı", "ｶﾞ", "-" * 10_000, '"' * 10_000, "a-" * 3_000,
    ],
)  # fmt: skip
async def test_no_query_is_too_strange(server: ApiServer, term: str) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    await send(alice, room_id, "nothing to see")
    for order_by in ("rank", "recent"):
        assert ids(await search(alice, term, order_by=order_by)) == []


@pytest.mark.parametrize(
    "body",
    ["\0 null", "🦊 fox", "a" * 20_000, "_-./" * 5_000, "x_" * 10_000, "½ ⑴ ℀ ﷺ", "'quoted' \"\\"],
)
async def test_no_message_is_too_strange(server: ApiServer, body: str) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    said = await send(alice, room_id, f"{body} needle")
    assert ids(await search(alice, "needle")) == [said]


async def test_a_whole_message_finds_itself(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    body = "a" * 70 + "_" + "b" * 70 + " ½ ⑴ don't fooBarBaz10.0.0.1 数据库K8s集群 ｶﾞｲﾄﾞ"
    said = await send(alice, room_id, body)
    for term in [*body.split(), body]:
        assert ids(await search(alice, term)) == [said], term


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, (400, "M_BAD_JSON")),
        ({"search_categories": 1}, (400, "M_BAD_JSON")),
        ({"search_categories": {"room_events": {}}}, (400, "M_BAD_JSON")),
        ({"search_categories": {"room_events": {"search_term": 1}}}, (400, "M_BAD_JSON")),
    ],
)
async def test_wrong_bodies_are_refused(
    server: ApiServer, body: object, error: tuple[int, str]
) -> None:
    alice = await server.user("alice")
    assert problem(await alice.post("/search", body)) == error


@pytest.mark.parametrize(
    "options",
    [
        {"keys": ["content.secret"]},
        {"order_by": "random"},
        {"filter": {"rooms": "!a"}},
        {"groupings": {"group_by": [{"key": "age"}]}},
        {"event_context": {"before_limit": -1}},
        {"keys": []},
    ],
)
async def test_wrong_options_are_refused(server: ApiServer, options: dict[str, object]) -> None:
    alice = await server.user("alice")
    body = {"search_categories": {"room_events": {"search_term": "a", **options}}}
    assert problem(await alice.post("/search", body)) == (400, "M_BAD_JSON")


@pytest.mark.parametrize("token", ["x", "AAAA", "WzFd", "Wy0xLDBd", "é", "WyIxIiwiMiJd"])
async def test_foreign_tokens_are_refused(server: ApiServer, token: str) -> None:
    alice = await server.user("alice")
    body = {"search_categories": {"room_events": {"search_term": "a"}}}
    refused = await alice.request("POST", "/search", body, {"next_batch": token})
    assert problem(refused) == (400, "M_INVALID_PARAM")


async def test_a_search_of_nothing_answers_nothing(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert await done(alice.post("/search", {"search_categories": {}})) == {"search_categories": {}}


async def test_guests_and_nobody_do_not_search(server: ApiServer) -> None:
    body = {"search_categories": {"room_events": {"search_term": "a"}}}
    assert problem(await server.nobody.post("/search", body)) == (401, "M_MISSING_TOKEN")


async def test_a_token_of_a_group_shows_nothing_of_rooms_of_others(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    for number in range(4):
        await send(alice, room_id, f"needle {number}")
    options: dict[str, Any] = {
        "filter": {"limit": 1}, "groupings": {"group_by": [{"key": "room_id"}]},
    }  # fmt: skip
    found = await search(alice, "needle", **options)
    stolen = found["groups"]["room_id"][room_id]["next_batch"]
    assert len(ids(await search(alice, "needle", stolen, **options))) == 1
    assert (await search(bob, "needle", stolen, **options))["results"] == []


async def test_what_was_said_while_the_indexer_was_away_is_found(
    start_server: StartServer,
) -> None:
    first = await start_server()
    alice = await first.user("alice")
    room_id = await create_room(alice)
    before = await send(alice, room_id, "needle one")
    assert ids(await search(alice, "needle")) == [before]
    await first.server.search_index.close()
    after = await send(alice, room_id, "needle two")
    gone = await send(alice, room_id, "needle three")
    await redact(alice, room_id, gone)
    second = await start_server()
    again = second.holding(alice.token)
    assert ids(await search(again, "needle", order_by="recent")) == [after, before]
