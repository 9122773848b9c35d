from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from tests.api.server import ApiServer, Person, problem

Starter = Callable[..., Awaitable[ApiServer]]


async def named(server: ApiServer, user: str, name: str) -> Person:
    person = await server.user(user)
    path = f"/profile/{quote(person.user_id)}/displayname"
    assert (await person.put(path, {"displayname": name})).status_code == 200
    return person


async def find(searcher: Person, term: str, **options: int) -> list[str]:
    answer = await searcher.post("/user_directory/search", {"search_term": term, **options})
    assert answer.status_code == 200, answer.text
    return [found["user_id"].partition(":")[0] for found in answer.json()["results"]]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("bob", ["@bob", "@xbob"]),
        ("@bob", ["@bob", "@xbob"]),
        ("@bob:localhost", ["@bob", "@xbob"]),
        ("müller", ["@bob"]),
        ("MULLER", ["@bob"]),
        ("robert mül", ["@bob"]),
        ("robert nobody", []),
        ("李", ["@li"]),
        ("%", []),
        ("_", ["@under_score"]),
        ("under!", []),
        ("localhost", []),
        ("", []),
        (" ", []),
        ("\0", []),
        ("alice", []),
    ],
)
async def test_searching(server: ApiServer, term: str, expected: list[str]) -> None:
    alice = await server.user("alice")
    await server.user("xbob")
    await named(server, "bob", "Robert  Müller")
    await named(server, "li", "李小龍")
    await server.user("under_score")
    await server.guest()
    assert await find(alice, term) == expected


async def test_an_answer_shows_name_and_picture_where_there_are(server: ApiServer) -> None:
    alice = await server.user("alice")
    await named(server, "bob", "Bob")
    await server.user("bobby")
    answer = await alice.post("/user_directory/search", {"search_term": "bob"})
    assert answer.json() == {
        "results": [
            {"user_id": "@bob:localhost", "display_name": "Bob"},
            {"user_id": "@bobby:localhost"},
        ],
        "limited": False,
    }


async def test_an_answer_says_when_there_are_more(server: ApiServer) -> None:
    alice = await server.user("alice")
    for number in range(4):
        await server.user(f"bob{number}")
    answer = await alice.post("/user_directory/search", {"search_term": "bob", "limit": 3})
    assert [len(answer.json()["results"]), answer.json()["limited"]] == [3, True]
    assert len(await find(alice, "bob", limit=4)) == 4
    assert await find(alice, "bob", limit=0) == []


async def test_whoever_has_left_is_not_found(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await named(server, "bob", "Bob")
    await bob.prove("POST", "/account/deactivate", {})
    assert await find(alice, "bob") == []


async def test_only_people_one_can_meet_where_the_server_says_so(start_server: Starter) -> None:
    server = await start_server(user_directory="shared_rooms")
    alice = await server.user("alice")
    shared, public, hidden, open_ = [await server.user(f"bob{n}") for n in range(4)]
    room = (await alice.post("/createRoom", {"preset": "private_chat"})).json()["room_id"]
    await alice.post(f"/rooms/{quote(room)}/invite", {"user_id": shared.user_id})
    await shared.post(f"/join/{quote(room)}")
    await public.post("/createRoom", {"preset": "public_chat"})
    await hidden.post("/createRoom", {"preset": "private_chat"})
    visibility = {
        "type": "m.room.history_visibility",
        "state_key": "",
        "content": {"history_visibility": "world_readable"},
    }
    await open_.post("/createRoom", {"initial_state": [visibility]})
    assert await find(alice, "bob") == ["@bob0", "@bob1", "@bob3"]


async def test_a_search_without_a_term_makes_no_sense(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert problem(await alice.post("/user_directory/search", {})) == (400, "M_BAD_JSON")
