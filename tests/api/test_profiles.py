from urllib.parse import quote

import pytest

from tests.api.server import ApiServer, Person, problem

NAME = "displayname"


def path_of(person: Person, field: str = "") -> str:
    return f"/profile/{quote(person.user_id, safe='')}" + (f"/{field}" if field else "")


async def test_a_field_is_set_read_and_deleted(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert (await server.nobody.get(path_of(alice))).json() == {}
    assert (await alice.put(path_of(alice, NAME), {NAME: "Alice 🎈"})).json() == {}
    assert (await server.nobody.get(path_of(alice, NAME))).json() == {NAME: "Alice 🎈"}
    assert (await server.nobody.get(path_of(alice))).json() == {NAME: "Alice 🎈"}
    assert (await alice.delete(path_of(alice, NAME))).json() == {}
    assert (await alice.delete(path_of(alice, NAME))).json() == {}
    assert problem(await server.nobody.get(path_of(alice, NAME))) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("empty", ["", None])
async def test_older_clients_delete_by_setting_nothing(
    server: ApiServer, empty: str | None
) -> None:
    alice = await server.user("alice")
    await alice.put(path_of(alice, NAME), {NAME: "Alice"})
    await alice.put(path_of(alice, NAME), {NAME: empty})
    assert (await alice.get(path_of(alice))).json() == {}


@pytest.mark.parametrize("user", ["@nobody:localhost", "@alice:elsewhere", "nonsense"])
async def test_the_profile_of_an_unknown_user_is_not_found(server: ApiServer, user: str) -> None:
    whole = await server.nobody.get(f"/profile/{quote(user, safe='')}")
    assert problem(whole) == (404, "M_NOT_FOUND")
    field = await server.nobody.get(f"/profile/{quote(user, safe='')}/{NAME}")
    assert problem(field) == (404, "M_NOT_FOUND")


async def test_rooms_are_told_of_a_new_name(server: ApiServer) -> None:
    alice = await server.user("alice")
    room = quote((await alice.post("/createRoom", {})).json()["room_id"])
    await alice.put(path_of(alice, NAME), {NAME: "Alice"})
    await alice.put(path_of(alice, "avatar_url"), {"avatar_url": "mxc://localhost/face"})
    state = f"/rooms/{room}/state/m.room.member/{quote(alice.user_id)}"
    member = (await alice.get(state)).json()
    assert member == {
        "membership": "join",
        NAME: "Alice",
        "avatar_url": "mxc://localhost/face",
    }
    await alice.delete(path_of(alice, NAME))
    assert NAME not in (await alice.get(state)).json()


async def test_a_new_room_shows_its_creators_name(server: ApiServer) -> None:
    alice = await server.user("alice")
    await alice.put(path_of(alice, NAME), {NAME: "Alice"})
    room = quote((await alice.post("/createRoom", {})).json()["room_id"])
    members = (await alice.get(f"/rooms/{room}/joined_members")).json()["joined"]
    assert members[alice.user_id]["display_name"] == "Alice"


async def test_one_changes_ones_own_profile_only(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    assert problem(await bob.put(path_of(alice, NAME), {NAME: "Fool"})) == (403, "M_FORBIDDEN")
    assert problem(await bob.delete(path_of(alice, NAME))) == (403, "M_FORBIDDEN")
    assert problem(await server.nobody.put(path_of(alice, NAME), {NAME: "Fool"})) == (
        401,
        "M_MISSING_TOKEN",
    )


async def test_guests_change_their_name_only(server: ApiServer) -> None:
    guest = await server.guest()
    assert (await guest.put(path_of(guest, NAME), {NAME: "Visitor"})).status_code == 200
    refused = await guest.put(path_of(guest, "avatar_url"), {"avatar_url": "mxc://a/b"})
    assert problem(refused) == (403, "M_GUEST_ACCESS_FORBIDDEN")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (NAME, 5),
        (NAME, "x" * 257),
        ("avatar_url", "https://example.org/face.png"),
        ("avatar_url", "mxc://" + "x" * 1_000),
        ("m.tz", 1),
        ("nodots", "x"),
        ("Capital.letters", "x"),
    ],
)
async def test_values_that_cannot_be(server: ApiServer, field: str, value: object) -> None:
    alice = await server.user("alice")
    refused = await alice.put(path_of(alice, field), {field: value})
    assert problem(refused) == (400, "M_INVALID_PARAM")


async def test_the_body_must_hold_the_field(server: ApiServer) -> None:
    alice = await server.user("alice")
    refused = await alice.put(path_of(alice, NAME), {"name": "Alice"})
    assert problem(refused) == (400, "M_MISSING_PARAM")


async def test_fields_of_ones_own(server: ApiServer) -> None:
    alice = await server.user("alice")
    pet = {"org.example.pet": {"name": "Rex", "legs": 4, "likes": ["sticks", None]}}
    assert (await alice.put(path_of(alice, "org.example.pet"), pet)).status_code == 200
    await alice.put(path_of(alice, "m.tz"), {"m.tz": "Europe/Zurich"})
    assert (await alice.get(path_of(alice))).json() == {**pet, "m.tz": "Europe/Zurich"}


async def test_a_profile_has_a_size(server: ApiServer) -> None:
    alice = await server.user("alice")
    field = "org.example.essay"
    fits = await alice.put(path_of(alice, field), {field: "x" * 60_000})
    assert fits.status_code == 200
    too_much = await alice.put(path_of(alice, "m.tz"), {"m.tz": "x" * 6_000})
    assert problem(too_much) == (400, "M_PROFILE_TOO_LARGE")
    long_key = "a." + "b" * 300
    refused = await alice.put(path_of(alice, long_key), {long_key: 1})
    assert problem(refused) == (400, "M_KEY_TOO_LARGE")
