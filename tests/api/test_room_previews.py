"""Rooms as they are shown to those who are not in them."""

from urllib.parse import quote

from tests.api.chat import create_room, done, room_path
from tests.api.server import ApiServer, Person, problem

V1 = "/_matrix/client/v1"
NOT_FOUND, FORBIDDEN = (404, "M_NOT_FOUND"), (403, "M_FORBIDDEN")
INVALID = (400, "M_INVALID_PARAM")


def summary_of(room: str) -> str:
    return f"{V1}/room_summary/{quote(room)}"


def tree_of(room_id: str) -> str:
    return f"{V1}{room_path(room_id)}/hierarchy"


async def create_space(person: Person, *children: str, **options: object) -> str:
    space = await create_room(person, creation_content={"type": "m.space"}, **options)
    for place, child in enumerate(children):
        await add_child(person, space, child, order=f"{place:03}")
    return space


async def add_child(person: Person, space: str, child: str, **content: object) -> None:
    path = f"{room_path(space)}/state/m.space.child/{quote(child)}"
    await done(person.put(path, {"via": ["localhost"], **content}))


async def rooms_of(person: Person, space: str, **query: str | int) -> list[str]:
    told = await done(person.get(tree_of(space), **query))
    return [room["room_id"] for room in told["rooms"]]


async def test_a_summary_by_id_and_by_alias(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, name="Cheese", room_alias_name="cheese")
    told = await done(bob.get(summary_of("#cheese:localhost")))
    assert told == await done(server.nobody.get(summary_of(room_id)))
    assert (told["name"], told["num_joined_members"]) == ("Cheese", 1)
    assert (told["join_rule"], told["room_version"]) == ("public", "11")
    assert "membership" not in told
    assert (await done(alice.get(summary_of(room_id))))["membership"] == "join"
    assert problem(await bob.get(summary_of("#no:localhost"))) == NOT_FOUND
    assert problem(await bob.get(summary_of("cheese"))) == INVALID


async def test_a_private_room_is_shown_to_the_invited_only(server: ApiServer) -> None:
    alice, bob, eve = [await server.user(name) for name in ("alice", "bob", "eve")]
    room_id = await create_room(alice, preset="private_chat", invite=[bob.user_id])
    assert (await done(bob.get(summary_of(room_id))))["membership"] == "invite"
    for outsider in (eve, server.nobody):
        assert problem(await outsider.get(summary_of(room_id))) == NOT_FOUND
    assert problem(await eve.get(tree_of(room_id))) == FORBIDDEN
    assert problem(await eve.get(tree_of("!no:localhost"))) == FORBIDDEN


async def test_a_restricted_room_is_shown_to_members_of_the_other(server: ApiServer) -> None:
    alice, bob, eve = [await server.user(name) for name in ("alice", "bob", "eve")]
    space = await create_space(alice)
    allow = [{"type": "m.room_membership", "room_id": space}]
    rule = {"join_rule": "restricted", "allow": allow}
    state = [{"type": "m.room.join_rules", "content": rule}]
    room_id = await create_room(alice, initial_state=state)
    await add_child(alice, space, room_id)
    await done(bob.post(f"{room_path(space)}/join"))
    assert (await done(bob.get(summary_of(room_id))))["allowed_room_ids"] == [space]
    assert await rooms_of(bob, space) == [space, room_id]
    assert await rooms_of(eve, space) == [space]
    await done(alice.post(f"{room_path(room_id)}/ban", {"user_id": bob.user_id}))
    assert await rooms_of(bob, space) == [space]


async def test_a_tree_is_walked_depth_first_and_loops_end(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    leaf, other = await create_room(alice), await create_room(alice)
    inner = await create_space(alice, leaf)
    root = await create_space(alice, inner, other)
    await add_child(alice, inner, root)
    assert await rooms_of(bob, root) == [root, inner, leaf, other]
    assert await rooms_of(bob, root, max_depth=0) == [root]
    assert await rooms_of(bob, root, max_depth=1) == [root, inner, other]
    told = (await done(bob.get(tree_of(root))))["rooms"]
    assert [child["state_key"] for child in told[0]["children_state"]] == [inner, other]
    assert told[0]["children_state"][0]["origin_server_ts"] == server.clock.ms
    assert (told[0]["room_type"], told[2]["children_state"]) == ("m.space", [])


async def test_what_is_closed_hides_what_is_below(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    leaf = await create_room(alice)
    closed = await create_space(alice, leaf, preset="private_chat")
    root = await create_space(alice, closed, "!gone:localhost")
    assert await rooms_of(bob, root) == [root]
    assert await rooms_of(alice, root) == [root, closed, leaf]


async def test_suggested_rooms_only(server: ApiServer) -> None:
    alice = await server.user("alice")
    first, second = await create_room(alice), await create_room(alice)
    root = await create_space(alice, first)
    await add_child(alice, root, second, suggested=True)
    assert await rooms_of(alice, root, suggested_only="true") == [root, second]


async def test_pages_of_a_tree(server: ApiServer) -> None:
    alice = await server.user("alice")
    rooms = [await create_room(alice) for _ in range(4)]
    root = await create_space(alice, *rooms)
    found: list[str] = []
    start: dict[str, str] = {}
    while True:
        told = await done(alice.get(tree_of(root), limit=2, **start))
        assert len(told["rooms"]) <= 2
        found += [room["room_id"] for room in told["rooms"]]
        if "next_batch" not in told:
            break
        start = {"from": told["next_batch"]}
    assert found == [root, *rooms]
    assert problem(await alice.get(tree_of(root), max_depth=3, **start)) == INVALID
    assert problem(await alice.get(tree_of(root), **{"from": "x"})) == INVALID
    assert problem(await alice.get(tree_of(root), limit=0)) == INVALID
