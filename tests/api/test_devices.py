from urllib.parse import quote

from tests.api.server import ApiServer, problem


async def test_what_is_not_known_of_a_device_is_absent(server: ApiServer) -> None:
    # A client in use breaks on null.
    alice = await server.user("alice")
    assert (await alice.get("/devices")).json() == {"devices": [{"device_id": alice.device_id}]}
    one = await alice.get(f"/devices/{alice.device_id}")
    assert one.json() == {"device_id": alice.device_id}


async def test_when_a_device_was_seen_is_written_down(server: ApiServer) -> None:
    alice = await server.user("alice")
    await alice.get("/account/whoami")
    server.clock.advance(500)
    await alice.get("/account/whoami")
    await server.server.sessions.flush()
    device = (await alice.get("/devices")).json()["devices"][0]
    assert device["last_seen_ts"] == server.clock.ms
    assert device["last_seen_ip"] == "127.0.0.1"


async def test_a_device_can_be_renamed(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = f"/devices/{alice.device_id}"
    assert (await alice.put(path, {"display_name": "Desk"})).json() == {}
    assert (await alice.put(path, {})).json() == {}
    assert (await alice.get(path)).json()["display_name"] == "Desk"
    too_long = await alice.put(path, {"display_name": "x" * 300})
    assert problem(too_long) == (400, "M_BAD_JSON")


async def test_devices_of_others_are_not_there(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    path = f"/devices/{bob.device_id}"
    assert problem(await alice.get(path)) == (404, "M_NOT_FOUND")
    assert problem(await alice.put(path, {"display_name": "Mine"})) == (404, "M_NOT_FOUND")
    assert problem(await alice.put(path, {})) == (404, "M_NOT_FOUND")


async def test_a_device_is_deleted_with_its_tokens_for_a_password(server: ApiServer) -> None:
    alice, phone = await server.user("alice"), await server.log_in("alice")
    path = f"/devices/{phone.device_id}"
    asked = await alice.delete(path)
    assert asked.json()["flows"] == [{"stages": ["m.login.password"]}]
    assert (await phone.get("/account/whoami")).status_code == 200
    auth = {"auth": alice.password_auth(asked)}
    assert (await alice.delete(path, auth)).json() == {}
    assert problem(await phone.get("/account/whoami")) == (401, "M_UNKNOWN_TOKEN")
    assert (await alice.delete(path, auth)).json() == {}  # a lost answer may be asked for again
    other = await alice.delete(f"/devices/{alice.device_id}", auth)
    assert problem(other) == (403, "M_FORBIDDEN")


async def test_devices_are_deleted_together(server: ApiServer) -> None:
    alice = await server.user("alice")
    bob = await server.user("bob")
    others = [await server.log_in("alice") for _ in range(3)]
    names = [other.device_id for other in others] + [bob.device_id, "never-was"]
    done = await alice.prove("POST", "/delete_devices", {"devices": names})
    assert done.status_code == 200
    left = (await alice.get("/devices")).json()["devices"]
    assert [device["device_id"] for device in left] == [alice.device_id]
    assert (await bob.get("/account/whoami")).status_code == 200


async def test_names_that_no_device_can_have(server: ApiServer) -> None:
    alice = await server.user("alice")
    for name in ("a\0b", "x" * 300, 5):
        refused = await alice.post("/delete_devices", {"devices": [name]})
        assert problem(refused) == (400, "M_BAD_JSON")


async def test_a_device_may_have_any_name_in_its_path(server: ApiServer) -> None:
    await server.user("alice")
    odd = await server.log_in("alice", device_id="a/b c%?#é")
    one = await odd.get(f"/devices/{quote(odd.device_id, safe='')}")
    assert one.json()["device_id"] == "a/b c%?#é"
