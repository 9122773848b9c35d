import asyncio

import pytest

from tests.api.chat import account_data_in, create_room, done, room_of, room_path, sync, user_path
from tests.api.server import ApiServer, Person, problem


def tags_of(person: Person, room_id: str) -> str:
    return f"{user_path(person)}{room_path(room_id)}/tags"


async def test_tags_come_and_go(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    tags = tags_of(alice, room_id)
    assert await done(alice.get(tags)) == {"tags": {}}
    await done(alice.put(f"{tags}/m.favourite", {"order": 0.25}))
    await done(alice.put(f"{tags}/u.Work%2FHome", {}))
    kept = {"tags": {"m.favourite": {"order": 0.25}, "u.Work/Home": {}}}
    assert await done(alice.get(tags)) == kept
    assert account_data_in(room_of(await sync(alice), room_id))["m.tag"] == kept
    await done(alice.put(f"{tags}/m.favourite", {"order": 0.5}))
    await done(alice.delete(f"{tags}/u.Work%2FHome"))
    assert await done(alice.get(tags)) == {"tags": {"m.favourite": {"order": 0.5}}}


async def test_a_change_is_synced_and_no_change_is_not(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    tags = tags_of(alice, room_id)
    since = (await sync(alice))["next_batch"]
    await done(alice.put(f"{tags}/u.a", {}))
    synced = await sync(alice, since)
    assert account_data_in(room_of(synced, room_id)) == {"m.tag": {"tags": {"u.a": {}}}}
    await done(alice.put(f"{tags}/u.a", {}))
    await done(alice.delete(f"{tags}/u.never"))
    assert (await sync(alice, synced["next_batch"]))["next_batch"] == synced["next_batch"]


async def test_tags_set_at_once_are_all_kept(server: ApiServer) -> None:
    alice = await server.user("alice")
    tags = tags_of(alice, await create_room(alice))
    await asyncio.gather(*(done(alice.put(f"{tags}/u.{n}", {})) for n in range(20)))
    assert len((await done(alice.get(tags)))["tags"]) == 20


async def test_tags_are_their_owners(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    tags = tags_of(alice, await create_room(alice, bob))
    assert problem(await bob.get(tags)) == (403, "M_FORBIDDEN")
    assert problem(await bob.put(f"{tags}/u.a", {})) == (403, "M_FORBIDDEN")
    assert problem(await bob.delete(f"{tags}/u.a")) == (403, "M_FORBIDDEN")


async def test_tags_of_a_strange_shape_do_no_harm(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    path = f"{user_path(alice)}{room_path(room_id)}/account_data/m.tag"
    await done(alice.put(path, {"tags": 5}))
    tags = tags_of(alice, room_id)
    assert await done(alice.get(tags)) == {"tags": {}}
    await done(alice.put(f"{tags}/u.a", {}))
    assert await done(alice.get(tags)) == {"tags": {"u.a": {}}}


@pytest.mark.parametrize("tag", ["", "x" * 256, "%C3%A4" * 128])
async def test_names_are_bounded(server: ApiServer, tag: str) -> None:
    alice = await server.user("alice")
    tags = tags_of(alice, await create_room(alice))
    assert problem(await alice.put(f"{tags}/{tag}", {})) == (400, "M_INVALID_PARAM")


async def test_a_room_has_a_hundred_tags_at_most(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    many: dict[str, object] = {"tags": {f"u.{n}": {} for n in range(100)}}
    await done(alice.put(f"{user_path(alice)}{room_path(room_id)}/account_data/m.tag", many))
    tags = tags_of(alice, room_id)
    assert problem(await alice.put(f"{tags}/u.one", {})) == (400, "M_INVALID_PARAM")
    await done(alice.put(f"{tags}/u.5", {"order": 1}))
