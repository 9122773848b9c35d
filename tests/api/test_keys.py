import asyncio
from collections import Counter

from tests.api.chat import create_room, done, room_path, send, sync
from tests.api.encryption import (
    claim,
    device_lists_in,
    identity_of,
    key,
    one_time_keys,
    query,
    upload,
    upload_identity,
)
from tests.api.server import ApiServer, Person, problem


async def test_keys_are_shown_as_uploaded_with_the_device_s_name(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    identity = identity_of(alice, extra={"kept": True}, unsigned={"mine": "not kept"})
    await upload(alice, device_keys=identity)
    await done(alice.put(f"/devices/{alice.device_id}", {"display_name": "Desk"}))
    shown = (await query(bob, alice))["device_keys"][alice.user_id][alice.device_id]
    assert shown == {**identity, "unsigned": {"device_display_name": "Desk"}}


async def test_a_query_answers_for_the_devices_it_names(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    phone = await server.log_in("alice")
    await upload_identity(alice)
    await upload_identity(phone)
    wanted = {
        alice.user_id: [phone.device_id, "unknown"],
        bob.user_id: [],
        "@x:elsewhere.org": [],
    }
    answer = await done(bob.post("/keys/query", {"device_keys": wanted}))
    assert list(answer["device_keys"][alice.user_id]) == [phone.device_id]
    assert answer["device_keys"][bob.user_id] == {}
    assert list(answer["failures"]) == ["elsewhere.org"]
    assert answer["master_keys"] == answer["user_signing_keys"] == {}


async def test_identity_keys_must_be_the_device_s_own(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    for wrong in (
        identity_of(bob),
        {**identity_of(alice), "device_id": "OTHER"},
        {**identity_of(alice), "keys": {"ed25519:x": 5}},
        {"user_id": alice.user_id},
        {**identity_of(alice), "more": 1.5},
    ):
        refused = await alice.post("/keys/upload", {"device_keys": wrong})
        assert refused.status_code == 400, wrong
    assert (await query(alice, alice, bob))["device_keys"] == {alice.user_id: {}, bob.user_id: {}}


async def test_a_device_that_begins_anew_takes_its_old_keys_back(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await upload(alice, device_keys=identity_of(alice), one_time_keys=one_time_keys("A"))
    fresh = {"signed_curve25519:A": key("another")}
    identity = identity_of(alice, "second")
    assert await upload(alice, device_keys=identity, one_time_keys=fresh) == {
        "signed_curve25519": 1
    }
    assert await claim(bob, alice) == {alice.device_id: fresh}


async def test_one_time_keys_are_counted_and_claimed_oldest_first(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    assert await upload(alice) == {}
    assert await upload(alice, one_time_keys=one_time_keys("Z")) == {"signed_curve25519": 1}
    assert await upload(alice, one_time_keys=one_time_keys("Z", "A")) == {"signed_curve25519": 2}
    assert await claim(bob, alice) == {alice.device_id: one_time_keys("Z")}
    assert await claim(bob, alice) == {alice.device_id: one_time_keys("A")}
    assert await claim(bob, alice) == {}


async def test_a_name_stands_for_one_key_only(server: ApiServer) -> None:
    alice = await server.user("alice")
    await upload(alice, one_time_keys=one_time_keys("A"))
    other = {"signed_curve25519:A": key("another"), "signed_curve25519:B": key("B")}
    refused = await alice.post("/keys/upload", {"one_time_keys": other})
    assert problem(refused) == (400, "M_INVALID_PARAM")
    assert await upload(alice) == {"signed_curve25519": 1}


async def test_keys_of_a_wrong_shape_are_refused(server: ApiServer) -> None:
    alice = await server.user("alice")
    for keys in (
        {"nocolon": "k"},
        {"a:": "k"},
        {":b": "k"},
        {"a:b": {"no": "key"}},
        {"a:b": 5},
        {"a:\0": "k"},
        {"a:b": {"key": "k", "n": 1.5}},
    ):
        for kind in ("one_time_keys", "fallback_keys"):
            refused = await alice.post("/keys/upload", {kind: keys})
            assert refused.status_code == 400, keys
    two = {"signed_curve25519:A": key("A"), "signed_curve25519:B": key("B")}
    assert (await alice.post("/keys/upload", {"fallback_keys": two})).status_code == 400
    bodies: tuple[object, ...] = (
        {},
        {"one_time_keys": []},
        {"one_time_keys": {"@a:test": {"D": 5}}},
    )
    for body in bodies:
        assert problem(await alice.post("/keys/claim", body)) == (400, "M_BAD_JSON")
    assert problem(await alice.post("/keys/query", {})) == (400, "M_BAD_JSON")


async def test_a_fallback_key_is_given_again_and_again(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    fallback = {"signed_curve25519:F": key("F", fallback=True)}
    await upload(alice, one_time_keys=one_time_keys("A"), fallback_keys=fallback)
    assert unused(await sync(alice)) == ["signed_curve25519"]
    assert await claim(bob, alice) == {alice.device_id: one_time_keys("A")}
    assert unused(await sync(alice)) == ["signed_curve25519"]
    for _ in range(2):
        assert await claim(bob, alice) == {alice.device_id: fallback}
        assert unused(await sync(alice)) == []
    await upload(alice, fallback_keys=fallback)  # the same again was used all the same
    assert unused(await sync(alice)) == []
    await upload(alice, fallback_keys={"signed_curve25519:G": key("G", fallback=True)})
    assert unused(await sync(alice)) == ["signed_curve25519"]


async def test_a_one_time_key_is_given_out_once(server: ApiServer) -> None:
    alice = await server.user("alice")
    names = [f"K{number:03}" for number in range(60)]
    await upload(alice, one_time_keys=one_time_keys(*names))
    claimers = [await server.user(f"user{number}") for number in range(8)]
    claims = [claim(claimers[number % 8], alice) for number in range(80)]
    answers = await asyncio.gather(*claims)
    given = Counter(name for answer in answers for keys in answer.values() for name in keys)
    assert given == Counter(f"signed_curve25519:{name}" for name in names)


async def test_many_devices_are_claimed_at_once(server: ApiServer) -> None:
    alice = await server.user("alice")
    devices = [await server.log_in("alice") for _ in range(25)]
    for device in devices:
        await upload(device, one_time_keys=one_time_keys("A", "B"))
    given = await claim(alice, *devices)
    assert given == {device.device_id: one_time_keys("A") for device in devices}
    assert counts(await sync(devices[7])) == {"signed_curve25519": 1}


async def test_every_sync_tells_what_keys_are_left(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    first = await sync(alice)
    assert (counts(first), unused(first)) == ({}, [])
    await upload(alice, one_time_keys=one_time_keys("A", "B"))
    since = first["next_batch"]
    quiet = await sync(alice, since)
    assert counts(quiet) == {"signed_curve25519": 2}
    assert quiet["next_batch"] == since
    await claim(bob, alice)
    await send(bob, room_id)
    news = await sync(alice, since)
    assert counts(news) == {"signed_curve25519": 1}
    assert counts(await sync(await server.log_in("alice"))) == {}
    await claim(bob, alice)
    assert counts(await sync(alice, news["next_batch"])) == {"signed_curve25519": 0}


async def test_changes_reach_those_who_share_a_room(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    await create_room(alice, bob)
    tokens = {person: (await sync(person))["next_batch"] for person in (alice, bob, carol)}
    await upload_identity(alice)
    assert await lists(bob, tokens[bob]) == ([alice.user_id], [])
    assert await lists(alice, tokens[alice]) == ([alice.user_id], [])
    assert await lists(carol, tokens[carol]) == ([], [])
    await upload_identity(alice)  # the same keys are no change
    after = (await sync(bob, tokens[bob]))["next_batch"]
    assert await lists(bob, after) == ([], [])
    await upload_identity(alice, "second")
    assert await lists(bob, after) == ([alice.user_id], [])


async def test_a_renamed_device_and_a_deleted_one_are_changes(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    phone, plain = await server.log_in("alice"), await server.log_in("alice")
    await create_room(alice, bob)
    fallback = {"signed_curve25519:F": key("F")}
    await upload(
        phone,
        device_keys=identity_of(phone),
        one_time_keys=one_time_keys("A"),
        fallback_keys=fallback,
    )
    since = (await sync(bob))["next_batch"]
    await done(phone.put(f"/devices/{phone.device_id}", {"display_name": "Phone"}))
    renamed = await sync(bob, since)
    assert device_lists_in(renamed) == ([alice.user_id], [])
    await alice.prove("DELETE", f"/devices/{plain.device_id}", {})
    assert await lists(bob, renamed["next_batch"]) == ([], [])
    await alice.prove("DELETE", f"/devices/{phone.device_id}", {})
    assert await lists(bob, renamed["next_batch"]) == ([alice.user_id], [])
    assert (await query(bob, alice))["device_keys"] == {alice.user_id: {}}
    assert await claim(bob, phone) == {}


async def test_joining_shows_devices_and_leaving_ends_it(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    first, second = await create_room(alice, carol), await create_room(alice)
    tokens = {person: (await sync(person))["next_batch"] for person in (alice, bob)}
    await done(bob.post(f"{room_path(first)}/join"))
    assert await lists(alice, tokens[alice]) == ([bob.user_id], [])
    assert await lists(bob, tokens[bob]) == ([alice.user_id, carol.user_id], [])
    await done(bob.post(f"{room_path(second)}/join"))
    tokens = {person: (await sync(person))["next_batch"] for person in (alice, bob)}
    await done(bob.post(f"{room_path(first)}/leave"))
    assert await lists(alice, tokens[alice]) == ([], [])
    assert await lists(bob, tokens[bob]) == ([], [carol.user_id])
    await done(bob.post(f"{room_path(second)}/leave"))
    assert await lists(alice, tokens[alice]) == ([], [bob.user_id])
    assert await lists(bob, tokens[bob]) == ([], [alice.user_id, carol.user_id])
    tokens = {person: (await sync(person))["next_batch"] for person in (alice, bob)}
    await upload_identity(bob)
    assert await lists(alice, tokens[alice]) == ([], [])


async def test_a_new_name_in_a_room_is_no_change_of_devices(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await create_room(alice, bob)
    since = (await sync(alice))["next_batch"]
    await done(bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": "Bobby"}))
    assert await lists(alice, since) == ([], [])


async def test_who_turns_an_invitation_down_learns_of_nobody(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, carol)
    since = (await sync(bob))["next_batch"]
    await done(alice.post(f"{room_path(room_id)}/invite", {"user_id": bob.user_id}))
    await done(bob.post(f"{room_path(room_id)}/leave"))
    assert await lists(bob, since) == ([], [])
    assert await lists(alice, since) == ([], [])


async def test_a_change_wakes_a_waiting_sync(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    waiting = asyncio.create_task(sync(bob, since, timeout=20_000))
    await asyncio.sleep(0.05)
    await upload_identity(alice)
    assert device_lists_in(await asyncio.wait_for(waiting, 5)) == ([alice.user_id], [])


async def test_changes_demand_two_tokens(server: ApiServer) -> None:
    alice = await server.user("alice")
    token = (await sync(alice))["next_batch"]
    assert problem(await alice.get("/keys/changes", to=token)) == (400, "M_MISSING_PARAM")
    odd = await alice.get("/keys/changes", **{"from": "x", "to": token})
    assert problem(odd) == (400, "M_INVALID_PARAM")


def counts(synced: dict[str, dict[str, int]]) -> dict[str, int]:
    return synced["device_one_time_keys_count"]


def unused(synced: dict[str, list[str]]) -> list[str]:
    return synced["device_unused_fallback_key_types"]


async def lists(person: Person, since: str) -> tuple[list[str], list[str]]:
    """The changes of device lists, which memory and the database must tell alike."""
    told = device_lists_in(await sync(person, since))
    changes = await done(person.get("/keys/changes", **{"from": since, "to": since}))
    assert (changes["changed"], changes["left"]) == told
    return told
