from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from tests.api.chat import create_room, done, room_path
from tests.api.server import ApiServer, Person, problem

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")
INVALID = (400, "M_INVALID_PARAM")
Starter = Callable[..., Awaitable[ApiServer]]


def alias_path(name: str) -> str:
    return f"/directory/room/{quote(f'#{name}:localhost', safe='')}"


def listing_path(room_id: str) -> str:
    return f"/directory/list/room/{quote(room_id, safe='')}"


async def search(person: Person, **body: object) -> dict[str, Any]:
    return await done(person.post("/publicRooms", body))


async def found(person: Person, **chosen: object) -> list[str]:
    return [room["name"] for room in (await search(person, filter=chosen))["chunk"]]


async def test_an_alias_leads_to_its_room(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    await done(alice.put(alias_path("a/b ü"), {"room_id": room_id}))
    answer = await done(server.nobody.get(alias_path("a/b ü")))
    assert answer == {"room_id": room_id, "servers": ["localhost"]}
    aliases = await done(alice.get(f"{room_path(room_id)}/aliases"))
    assert aliases == {"aliases": ["#a/b ü:localhost"]}
    assert problem(await bob.get(f"{room_path(room_id)}/aliases")) == FORBIDDEN
    taken = await alice.put(alias_path("a/b ü"), {"room_id": room_id})
    assert problem(taken) == (409, "M_UNKNOWN")
    assert problem(await bob.get(alias_path("nothing"))) == NOT_FOUND
    assert problem(await bob.post(f"/join/{quote('#nothing:localhost', safe='')}")) == NOT_FOUND


async def test_what_cannot_be_an_alias(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    elsewhere = f"/directory/room/{quote('#a:elsewhere.org', safe='')}"
    assert problem(await alice.put(elsewhere, {"room_id": room_id})) == INVALID
    assert problem(await alice.put("/directory/room/nonsense", {"room_id": room_id})) == INVALID
    assert problem(await alice.get("/directory/room/nonsense")) == INVALID
    assert problem(await alice.put(alias_path("a"), {})) == (400, "M_BAD_JSON")
    assert problem(await alice.put(alias_path("a"), {"room_id": "room"})) == INVALID
    answers = [
        await bob.put(alias_path("a"), {"room_id": each})
        for each in (room_id, "!unknown:localhost")
    ]
    assert problem(answers[0]) == FORBIDDEN
    assert answers[0].json() == answers[1].json()


async def test_who_may_remove_an_alias(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob, carol)
    for name in ("one", "two"):
        await done(bob.put(alias_path(name), {"room_id": room_id}))
    assert problem(await carol.delete(alias_path("one"))) == FORBIDDEN
    await done(bob.delete(alias_path("one")))
    await done(alice.delete(alias_path("two")))
    assert problem(await alice.delete(alias_path("two"))) == NOT_FOUND


async def test_a_removed_alias_is_named_no_longer(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice, room_alias_name="main")
    await done(alice.put(alias_path("other"), {"room_id": room_id}))
    state = f"{room_path(room_id)}/state/m.room.canonical_alias"
    both = {"alias": "#main:localhost", "alt_aliases": ["#main:localhost", "#other:localhost"]}
    await done(alice.put(state, both))
    await done(alice.delete(alias_path("main")))
    assert await done(alice.get(state)) == {"alt_aliases": ["#other:localhost"]}


async def test_a_published_room_is_listed_at_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, name="Cheese", topic="Tasty", room_alias_name="cheese")
    path = listing_path(room_id)
    assert (await search(bob))["chunk"] == []
    assert (
        problem(await bob.get(path)) == problem(await bob.get(listing_path("!no:x"))) == NOT_FOUND
    )
    assert await done(alice.get(path)) == {"visibility": "private"}
    await done(alice.put(path, {"visibility": "public"}))
    assert await done(server.nobody.get(path)) == {"visibility": "public"}
    expected = {
        "room_id": room_id,
        "name": "Cheese",
        "topic": "Tasty",
        "canonical_alias": "#cheese:localhost",
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "public",
    }
    for answer in (await search(bob), await done(server.nobody.get("/publicRooms"))):
        assert answer == {"chunk": [expected], "total_room_count_estimate": 1}
    await done(bob.post(f"{room_path(room_id)}/join"))
    await done(alice.put(f"{room_path(room_id)}/state/m.room.name", {"name": "Brie"}))
    entry = (await search(bob))["chunk"][0]
    assert (entry["name"], entry["num_joined_members"]) == ("Brie", 2)
    await done(alice.put(path, {"visibility": "private"}))
    assert (await search(bob))["chunk"] == []


async def test_who_may_publish(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    path = listing_path(await create_room(alice, bob))
    assert problem(await bob.put(path, {})) == FORBIDDEN
    assert problem(await carol.put(path, {})) == NOT_FOUND
    assert problem(await carol.put(listing_path("!no:x"), {})) == NOT_FOUND
    assert problem(await alice.put(path, {"visibility": "secret"})) == INVALID
    await done(alice.put(path, {}))


async def test_publishing_may_be_for_administrators(start_server: Starter) -> None:
    server = await start_server(publish_rooms="admins")
    alice = await server.user("alice")
    path = listing_path(await create_room(alice))
    assert problem(await alice.put(path, {"visibility": "public"})) == FORBIDDEN
    await done(alice.put(path, {"visibility": "private"}))


async def test_rooms_are_searched(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create_room(alice, visibility="public", name="Cheese", topic="milk")
    await create_room(alice, visibility="public", name="Bread", room_alias_name="crust")
    space = {"type": "m.space"}
    await create_room(alice, visibility="public", name="Shop", creation_content=space)
    assert await found(alice, generic_search_term="CHEE") == ["Cheese"]
    assert await found(alice, generic_search_term="milk") == ["Cheese"]
    assert await found(alice, generic_search_term="crust") == ["Bread"]
    assert await found(alice, generic_search_term="wine") == []
    assert await found(alice, room_types=["m.space"]) == ["Shop"]
    assert set(await found(alice, room_types=[None])) == {"Cheese", "Bread"}
    assert len(await found(alice, room_types=[None, "m.space"])) == 3


async def test_pages_of_the_list(server: ApiServer) -> None:
    people = [await server.user(name) for name in ("alice", "bob", "carol")]
    for count in (1, 3, 2):
        await create_room(*people[:count], visibility="public", name=str(count))
    first = await done(people[0].get("/publicRooms", limit=2))
    assert [room["name"] for room in first["chunk"]] == ["3", "2"]
    assert first["total_room_count_estimate"] == 3
    assert "prev_batch" not in first
    second = await search(people[0], limit=2, since=first["next_batch"])
    assert [room["name"] for room in second["chunk"]] == ["1"]
    assert "next_batch" not in second
    again = await search(people[0], limit=2, since=second["prev_batch"])
    assert again["chunk"] == first["chunk"]
    assert problem(await people[0].get("/publicRooms", since="x")) == INVALID
    elsewhere = await people[0].get("/publicRooms", server="elsewhere.org")
    assert problem(elsewhere) == FORBIDDEN
