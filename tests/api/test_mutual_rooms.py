"""The rooms that two people share."""

from tests.api.chat import create_room, done, room_path
from tests.api.server import ApiServer, problem

PATH = "/_matrix/client/v1/mutual_rooms"
INVALID = (400, "M_INVALID_PARAM")


async def test_only_rooms_that_both_are_in_are_told(server: ApiServer) -> None:
    alice, bob, eve = [await server.user(name) for name in ("alice", "bob", "eve")]
    both, left = await create_room(alice, bob), await create_room(alice, bob)
    await create_room(alice)
    await done(bob.post(f"{room_path(left)}/leave"))
    await create_room(alice, invite=[bob.user_id])
    told = await done(alice.get(PATH, user_id=bob.user_id))
    assert told == {"joined": [both], "count": 1}
    assert await done(eve.get(PATH, user_id=bob.user_id)) == {"joined": [], "count": 0}
    assert await done(eve.get(PATH, user_id="@no:localhost")) == {"joined": [], "count": 0}


async def test_whom_one_cannot_ask_about(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert problem(await alice.get(PATH)) == (400, "M_MISSING_PARAM")
    assert problem(await alice.get(PATH, user_id=alice.user_id)) == INVALID
    assert problem(await alice.get(PATH, user_id="bob")) == INVALID
    start = {"user_id": "@b:localhost", "from": "x"}
    assert problem(await alice.get(PATH, **start)) == INVALID


async def test_pages(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    rooms = sorted([await create_room(alice, bob) for _ in range(3)])
    first = await done(alice.get(PATH, **{"user_id": bob.user_id, "from": rooms[0]}))
    assert first == {"joined": rooms[1:], "count": 3}
