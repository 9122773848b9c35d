from typing import Any

from tests.api.chat import create_room, done, sync
from tests.api.encryption import (
    claim,
    device_lists_in,
    identity_of,
    key,
    one_time_keys,
    query,
    send_to,
)
from tests.api.server import ApiServer, Person, problem

PATH = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"


def body(person: Person, device_id: str = "ASLEEP", **more: object) -> dict[str, Any]:
    asleep = Person(person.http, {"user_id": person.user_id, "device_id": device_id})
    return {
        "device_id": device_id,
        "device_data": {"algorithm": "m.dehydration.v2", "device_pickle": "secret"},
        "initial_device_display_name": "Asleep",
        "device_keys": identity_of(asleep),
        "one_time_keys": one_time_keys("A"),
        "fallback_keys": {"signed_curve25519:F": key("F", fallback=True)},
        **more,
    }


async def test_a_dehydrated_device_is_found_and_sent_to(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    assert problem(await alice.get(PATH)) == (404, "M_NOT_FOUND")
    assert await done(alice.put(PATH, body(alice))) == {"device_id": "ASLEEP"}
    assert device_lists_in(await sync(bob, since)) == ([alice.user_id], [])
    shown = (await query(bob, alice))["device_keys"][alice.user_id]["ASLEEP"]
    assert shown["unsigned"] == {"device_display_name": "Asleep"}
    asleep = Person(alice.http, {"user_id": alice.user_id, "device_id": "ASLEEP"})
    assert await claim(bob, asleep) == {"ASLEEP": one_time_keys("A")}
    for number in range(102):
        await send_to(bob, alice.user_id, "ASLEEP", number)
    data = body(alice)["device_data"]
    held = {"device_id": "ASLEEP", "device_data": data}
    assert await done(alice.get(PATH)) == held
    found: list[int] = []
    token: dict[str, str] = {}
    for size in (100, 2, 0):
        lost = await done(alice.post(f"{PATH}/ASLEEP/events", token))
        answer = await done(alice.post(f"{PATH}/ASLEEP/events", token))
        assert answer == lost
        assert len(answer["events"]) == size
        found += [event["content"]["body"] for event in answer["events"]]
        token = {"next_batch": answer["next_batch"]}
    assert found == list(range(102))


async def test_another_takes_its_place_and_it_can_be_deleted(server: ApiServer) -> None:
    alice = await server.user("alice")
    await done(alice.put(PATH, body(alice)))
    await done(alice.put(PATH, body(alice, "SECOND")))
    assert list((await query(alice, alice))["device_keys"][alice.user_id]) == ["SECOND"]
    refused = await alice.post(f"{PATH}/ASLEEP/events", {})
    assert problem(refused) == (404, "M_NOT_FOUND")
    assert await done(alice.delete(PATH)) == {"device_id": "SECOND"}
    assert problem(await alice.delete(PATH)) == (404, "M_NOT_FOUND")
    assert problem(await alice.get(PATH)) == (404, "M_NOT_FOUND")
    assert (await query(alice, alice))["device_keys"] == {alice.user_id: {}}
    await done(alice.put(PATH, body(alice)))
    await alice.prove("DELETE", "/devices/ASLEEP", {})
    assert problem(await alice.get(PATH)) == (404, "M_NOT_FOUND")


async def test_what_is_no_dehydrated_device_is_refused(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    for wrong, errcode in (
        (body(alice, alice.device_id), "M_INVALID_PARAM"),
        (body(alice, device_keys=identity_of(alice)), "M_INVALID_PARAM"),
        (body(alice, ""), "M_BAD_JSON"),
        (body(alice, device_data=5), "M_BAD_JSON"),
    ):
        assert problem(await alice.put(PATH, wrong)) == (400, errcode)
    await done(alice.put(PATH, body(alice)))
    refused = await bob.post(f"{PATH}/ASLEEP/events", {})
    assert problem(refused) == (404, "M_NOT_FOUND")
    assert (await alice.get("/account/whoami")).status_code == 200
