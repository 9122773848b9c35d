from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from tests.api.server import PASSWORD, ApiServer, Person, problem

Starter = Callable[..., Awaitable[ApiServer]]
NEW = "another fine password"


async def log_in_with(server: ApiServer, password: str) -> int:
    body = {"type": "m.login.password", "user": "alice", "password": password}
    return (await server.nobody.post("/login", body)).status_code


async def is_logged_in(person: Person) -> bool:
    return (await person.get("/account/whoami")).status_code == 200


async def test_who_one_is(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert (await alice.get("/account/whoami")).json() == {
        "user_id": alice.user_id,
        "device_id": alice.device_id,
        "is_guest": False,
    }


async def test_another_password_logs_other_devices_out(server: ApiServer) -> None:
    alice, phone = await server.user("alice"), await server.log_in("alice")
    assert (await alice.prove("POST", "/account/password", {"new_password": NEW})).json() == {}
    assert await log_in_with(server, PASSWORD) == 403
    assert await log_in_with(server, NEW) == 200
    assert await is_logged_in(alice)
    assert not await is_logged_in(phone)


async def test_another_password_may_leave_other_devices_be(server: ApiServer) -> None:
    alice, phone = await server.user("alice"), await server.log_in("alice")
    body = {"new_password": NEW, "logout_devices": False}
    assert (await alice.prove("POST", "/account/password", body)).status_code == 200
    assert await is_logged_in(phone)


async def test_a_password_is_changed_by_its_owner_only(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    asked = await alice.post("/account/password", {"new_password": NEW})
    assert asked.json()["flows"] == [{"stages": ["m.login.password"]}]
    for auth in (
        {**alice.password_auth(asked), "password": "wrong"},
        {**alice.password_auth(asked), "identifier": {"type": "m.id.user", "user": bob.user_id}},
        {"type": "m.login.dummy", "session": asked.json()["session"]},
    ):
        refused = await alice.post("/account/password", {"new_password": NEW, "auth": auth})
        assert problem(refused) == (401, "M_FORBIDDEN")
        assert refused.json()["session"] == asked.json()["session"]
        assert "completed" not in refused.json()
    assert await log_in_with(server, PASSWORD) == 200


async def test_a_proof_is_good_for_its_request_only(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    asked = await alice.post("/account/password", {"new_password": NEW})
    proved = {"auth": alice.password_auth(asked)}
    other = await alice.post("/account/password", {"new_password": "quite another", **proved})
    assert problem(other) == (403, "M_FORBIDDEN")
    elsewhere = await alice.post("/account/deactivate", proved)
    assert problem(elsewhere) == (403, "M_FORBIDDEN")
    others = await bob.post("/account/password", {"new_password": NEW, **proved})
    assert problem(others) == (403, "M_FORBIDDEN")
    right = await alice.post("/account/password", {"new_password": NEW, **proved})
    assert right.status_code == 200


async def test_weak_passwords_are_refused(server: ApiServer) -> None:
    alice = await server.user("alice")
    refused = await alice.post("/account/password", {"new_password": "short"})
    assert problem(refused) == (400, "M_WEAK_PASSWORD")


async def test_a_deactivated_account_is_gone_for_good(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    phone = await server.log_in("alice", refresh_token=True)
    await alice.put(f"/profile/{quote(alice.user_id)}/displayname", {"displayname": "Alice"})
    created = await alice.post("/createRoom", {"preset": "public_chat"})
    room = quote(created.json()["room_id"])
    await bob.post(f"/join/{room}")
    done = await alice.prove("POST", "/account/deactivate", {})
    assert done.json() == {"id_server_unbind_result": "success"}
    assert not await is_logged_in(alice)
    assert not await is_logged_in(phone)
    assert await log_in_with(server, PASSWORD) == 403
    refreshed = await server.nobody.post(
        "/refresh", {"refresh_token": phone.login["refresh_token"]}
    )
    assert problem(refreshed) == (401, "M_UNKNOWN_TOKEN")
    taken = await server.nobody.get("/register/available", username="alice")
    assert problem(taken) == (400, "M_USER_IN_USE")
    shown = await server.nobody.get(f"/profile/{quote(alice.user_id)}")
    assert problem(shown) == (404, "M_NOT_FOUND")
    joined = (await bob.get(f"/rooms/{room}/joined_members")).json()["joined"]
    assert set(joined) == {bob.user_id}


@pytest.mark.parametrize("path", ["/account/password", "/account/deactivate"])
async def test_guests_have_no_password_to_prove_themselves_by(server: ApiServer, path: str) -> None:
    guest = await server.guest()
    refused = await guest.post(path, {"new_password": NEW})
    assert problem(refused) == (403, "M_GUEST_ACCESS_FORBIDDEN")


async def test_a_password_is_hashed_anew_when_the_settings_change(start_server: Starter) -> None:
    server = await start_server()
    await server.user("alice")
    stricter = await start_server(passwords={"memory_kib": 16, "iterations": 1})
    sql = "SELECT password_hash FROM users"
    assert await log_in_with(stricter, PASSWORD) == 200
    async with stricter.server.db.read() as tx:
        assert "m=16,t=1" in (await tx.find_value(str, sql) or "")
    assert await log_in_with(server, PASSWORD) == 200
