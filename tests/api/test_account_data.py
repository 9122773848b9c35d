import pytest

from tests.api.chat import account_data_in, create_room, done, room_of, room_path, sync, user_path
from tests.api.server import ApiServer, Person, problem

CONTENT = {"a": [1, 2.5, None], "b": {"ü": "\0"}}


def paths_of(person: Person, type_: str) -> list[str]:
    """Where account data of a type is kept: for all, and for a room."""
    of_room = f"{user_path(person)}{room_path('!room:localhost')}/account_data/{type_}"
    return [f"{user_path(person)}/account_data/{type_}", of_room]


async def test_what_is_kept_is_given_back(server: ApiServer) -> None:
    alice = await server.user("alice")
    for path in paths_of(alice, "org.example.settings"):
        assert problem(await alice.get(path)) == (404, "M_NOT_FOUND")
        assert await done(alice.put(path, CONTENT)) == {}
        assert await done(alice.get(path)) == CONTENT
        await done(alice.put(path, {}))
        assert await done(alice.get(path)) == {}


async def test_rooms_do_not_fall_back_to_what_is_for_all(server: ApiServer) -> None:
    alice = await server.user("alice")
    path, of_room = paths_of(alice, "org.example")
    await done(alice.put(path, CONTENT))
    assert problem(await alice.get(of_room)) == (404, "M_NOT_FOUND")


async def test_it_is_synced_to_its_owner_alone(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = [(await sync(person))["next_batch"] for person in (alice, bob)]
    await done(alice.put(f"{user_path(alice)}/account_data/org.a", CONTENT))
    path = f"{user_path(alice)}{room_path(room_id)}/account_data/org.b"
    await done(alice.put(path, CONTENT))
    for synced in (await sync(alice, since[0]), await sync(alice)):
        assert account_data_in(synced)["org.a"] == CONTENT
        assert account_data_in(room_of(synced, room_id)) == {"org.b": CONTENT}
    assert (await sync(bob, since[1]))["next_batch"] == since[1]


async def test_it_is_nobody_elses(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    for path in paths_of(alice, "org.example"):
        assert problem(await bob.get(path)) == (403, "M_FORBIDDEN")
        assert problem(await bob.put(path, {})) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("type_", ["m.fully_read", "m.push_rules"])
async def test_what_the_server_controls_cannot_be_set(server: ApiServer, type_: str) -> None:
    alice = await server.user("alice")
    for path in paths_of(alice, type_):
        assert problem(await alice.put(path, {})) == (405, "M_BAD_JSON")


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"[]", "M_BAD_JSON"),
        (b"5", "M_BAD_JSON"),
        (b"null", "M_BAD_JSON"),
        (b"", "M_NOT_JSON"),
        (b"{", "M_NOT_JSON"),
        (b'{"a":NaN}', "M_NOT_JSON"),
        (b'{"a":"\xff"}', "M_NOT_JSON"),
    ],
)
async def test_only_objects_are_kept(server: ApiServer, body: bytes, errcode: str) -> None:
    alice = await server.user("alice")
    headers = {"authorization": f"Bearer {alice.token}"}
    for path in paths_of(alice, "org.example"):
        answer = await server.http.put(f"/_matrix/client/v3{path}", content=body, headers=headers)
        assert problem(answer) == (400, errcode)


@pytest.mark.parametrize("room_id", ["@alice:localhost", "room", ""])
async def test_a_room_id_must_be_one(server: ApiServer, room_id: str) -> None:
    alice = await server.user("alice")
    path = f"{user_path(alice)}/rooms/{room_id}/account_data/org.example"
    assert problem(await alice.put(path, {})) == (400, "M_INVALID_PARAM")
    assert problem(await alice.get(path)) == (400, "M_INVALID_PARAM")


async def test_types_may_hold_anything_but_too_much(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = f"{user_path(alice)}/account_data/a%2Fb%3A%20%C3%BC"
    await done(alice.put(path, CONTENT))
    assert "a/b: ü" in account_data_in(await sync(alice))
    for type_ in ("", "x" * 256, "%00"):
        refused = await alice.put(f"{user_path(alice)}/account_data/{type_}", {})
        assert problem(refused) == (400, "M_INVALID_PARAM")


async def test_ignoring_somebody_takes_effect_at_once(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(alice))["next_batch"]
    ignored: dict[str, object] = {"ignored_users": {bob.user_id: {}}}
    await done(alice.put(f"{user_path(alice)}/account_data/m.ignored_user_list", ignored))
    path = f"{room_path(room_id)}/send/m.room.message/1"
    await done(bob.put(path, {"msgtype": "m.text", "body": "hello"}))
    for synced in (await sync(alice, since), await sync(alice)):
        events = room_of(synced, room_id).get("timeline", {"events": []})["events"]
        assert "m.room.message" not in [event["type"] for event in events]
