from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import done
from tests.api.server import ApiServer, Person, problem

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
ROOM = "!room/1:localhost"
VERSION, KEYS = "/room_keys/version", "/room_keys/keys"


def key(index: int = 0, **other: object) -> dict[str, Any]:
    told = {"first_message_index": index, "forwarded_count": 0, "is_verified": False}
    return {**told, "session_data": {"ciphertext": f"c{index}"}, **other}


def path(room_id: str | None = None, session_id: str | None = None, version: str = "1") -> str:
    parts = [quote(part, safe="") for part in (room_id, session_id) if part is not None]
    return "/".join([KEYS, *parts]) + f"?version={version}"


async def create(person: Person, name: str = "first") -> str:
    body = {"algorithm": ALGORITHM, "auth_data": {"public_key": name}}
    version: str = (await done(person.post(VERSION, body)))["version"]
    return version


async def put(
    person: Person, keys: dict[str, dict[str, Any]], version: str = "1"
) -> dict[str, Any]:
    rooms = {room_id: {"sessions": sessions} for room_id, sessions in keys.items()}
    return await done(person.put(path(version=version), {"rooms": rooms}))


async def test_versions_follow_each_other(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert problem(await alice.get(VERSION)) == (404, "M_NOT_FOUND")
    assert [await create(alice), await create(alice, "second")] == ["1", "2"]
    assert await done(alice.get(VERSION)) == {
        "algorithm": ALGORITHM,
        "auth_data": {"public_key": "second"},
        "count": 0,
        "etag": "0",
        "version": "2",
    }
    assert (await done(alice.get(f"{VERSION}/1")))["auth_data"] == {"public_key": "first"}
    for _ in range(2):
        await done(alice.delete(f"{VERSION}/2"))
    assert (await done(alice.get(VERSION)))["version"] == "1"
    assert await create(alice) == "3"
    for gone in ("2", "9", "x", "²"):
        assert problem(await alice.get(f"{VERSION}/{gone}")) == (404, "M_NOT_FOUND")
    assert problem(await alice.delete(f"{VERSION}/9")) == (404, "M_NOT_FOUND")


async def test_what_is_told_of_a_version_can_be_changed(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create(alice)
    body = {"algorithm": ALGORITHM, "auth_data": {"public_key": "other"}}
    await done(alice.put(f"{VERSION}/1", {**body, "version": "1"}))
    assert (await done(alice.get(VERSION)))["auth_data"] == {"public_key": "other"}
    unknown = {**body, "algorithm": "m.other"}
    assert problem(await alice.post(VERSION, unknown)) == (400, "M_INVALID_PARAM")
    for wrong in ({**body, "version": "2"}, {**body, "algorithm": "m.other"}):
        refused = await alice.put(f"{VERSION}/1", wrong)
        assert problem(refused) == (400, "M_INVALID_PARAM")
    assert problem(await alice.put(f"{VERSION}/2", body)) == (404, "M_NOT_FOUND")
    bodies: tuple[object, ...] = ({"algorithm": ALGORITHM}, {"algorithm": 5, "auth_data": {}})
    for shapeless in bodies:
        assert problem(await alice.post(VERSION, shapeless)) == (400, "M_BAD_JSON")


async def test_keys_are_written_and_read_in_every_grouping(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create(alice)
    assert await put(alice, {ROOM: {"s1": key(1)}, "!b:x": {"s1": key(2)}}) == {
        "count": 2,
        "etag": "1",
    }
    await done(alice.put(path(ROOM), {"sessions": {"s/2": key(3)}}))
    assert (await done(alice.put(path(ROOM, "s3"), key(4))))["count"] == 4
    in_room = {"s1": key(1), "s/2": key(3), "s3": key(4)}
    assert await done(alice.get(path(ROOM, "s/2"))) == key(3)
    assert await done(alice.get(path(ROOM))) == {"sessions": in_room}
    assert await done(alice.get(path())) == {
        "rooms": {ROOM: {"sessions": in_room}, "!b:x": {"sessions": {"s1": key(2)}}}
    }
    assert await done(alice.get(path("!c:x"))) == {"sessions": {}}
    assert problem(await alice.get(path(ROOM, "s9"))) == (404, "M_NOT_FOUND")
    assert problem(await alice.get(KEYS)) == (400, "M_MISSING_PARAM")
    info = await done(alice.get(VERSION))
    assert (info["count"], info["etag"]) == (4, "3")


async def test_keys_are_deleted_in_every_grouping(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create(alice)
    await put(
        alice, {ROOM: {"s1": key(), "s2": key()}, "!b:x": {"s1": key()}, "!c:x": {"s": key()}}
    )
    counts = [
        (await done(alice.delete(place)))["count"]
        for place in (path(ROOM, "s1"), path(ROOM, "s1"), path("!b:x"), path())
    ]
    assert counts == [3, 3, 2, 0]
    assert await done(alice.get(path())) == {"rooms": {}}
    assert problem(await alice.delete(path(version="2"))) == (404, "M_NOT_FOUND")


async def test_the_better_key_is_kept(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create(alice)
    first = await put(alice, {ROOM: {"s": key(5)}})
    assert await put(alice, {ROOM: {"s": key(6)}}) == first
    assert await put(alice, {ROOM: {"s": key(5, session_data={"other": 1})}}) == first
    assert await done(alice.get(path(ROOM, "s"))) == key(5)
    verified = key(9, is_verified=True)
    assert await put(alice, {ROOM: {"s": verified}}) == {"count": 1, "etag": "2"}
    assert await done(alice.get(path(ROOM, "s"))) == verified


async def test_only_the_newest_version_is_written_to(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert problem(await alice.put(path(), {"rooms": {}})) == (404, "M_NOT_FOUND")
    await create(alice)
    await create(alice)
    refused = await alice.put(path(ROOM, "s"), key())
    assert problem(refused) == (403, "M_WRONG_ROOM_KEYS_VERSION")
    assert refused.json()["current_version"] == "2"
    assert await done(alice.get(path())) == {"rooms": {}}


async def test_a_backup_is_its_owner_s(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await create(alice)
    await put(alice, {ROOM: {"s": key()}})
    for method, place in (
        ("GET", path(ROOM, "s")),
        ("DELETE", path()),
        ("GET", f"{VERSION}/1"),
        ("DELETE", f"{VERSION}/1"),
    ):
        assert problem(await bob.request(method, place)) == (404, "M_NOT_FOUND")
    await create(bob)
    assert await done(bob.get(path())) == {"rooms": {}}
    await done(bob.delete(path()))
    assert (await done(alice.get(VERSION)))["count"] == 1
    refused = await (await server.guest()).get(VERSION)
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_message_index": -1},
        {"forwarded_count": "1"},
        {"first_message_index": 2**60},
        {"is_verified": None},
        {"session_data": "text"},
    ],
)
async def test_keys_of_a_wrong_shape_are_refused(
    server: ApiServer, wrong: dict[str, object]
) -> None:
    alice = await server.user("alice")
    await create(alice)
    refused = await alice.put(path(ROOM, "s"), {**key(), **wrong})
    assert problem(refused) == (400, "M_BAD_JSON")
    bodies: tuple[object, ...] = (
        {},
        {"rooms": []},
        {"rooms": {ROOM: {"sessions": {"a\0": key()}}}},
    )
    for body in bodies:
        assert problem(await alice.put(path(), body)) == (400, "M_BAD_JSON")


async def test_many_keys_come_in_one_piece(server: ApiServer) -> None:
    alice = await server.user("alice")
    await create(alice)
    rooms = {f"!{room}:x": {f"s{n}": key(n) for n in range(1100)} for room in range(5)}
    assert (await put(alice, rooms))["count"] == 5500
    shown = await done(alice.get(path()))
    assert shown == {"rooms": {name: {"sessions": keys} for name, keys in rooms.items()}}
    await done(alice.delete(f"{VERSION}/1"))
    async with server.server.db.read() as tx:
        assert await tx.find_value(int, "SELECT count(*) FROM backup_keys") == 0
