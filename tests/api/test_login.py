import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.api.server import PASSWORD, ApiServer, Person, problem
from tidings.server.storage.database import WriteTx

Starter = Callable[..., Awaitable[ApiServer]]
WRONG = {"errcode": "M_FORBIDDEN", "error": "Invalid username or password"}


def password_login(user: str, password: str = PASSWORD, **more: object) -> dict[str, object]:
    identifier = {"type": "m.id.user", "user": user}
    return {
        "type": "m.login.password",
        "identifier": identifier,
        "password": password,
        **more,
    }


async def whoami(server: ApiServer, token: str) -> int:
    return (await server.holding(token).get("/account/whoami")).status_code


async def test_the_flows(server: ApiServer) -> None:
    flows = (await server.nobody.get("/login")).json()["flows"]
    assert {"type": "m.login.password"} in flows
    assert {"type": "m.login.token", "get_login_token": True} in flows


@pytest.mark.parametrize("user", ["alice", "ALICE", "@alice:localhost", " alice "])
async def test_logging_in_by_local_part_or_user_id(server: ApiServer, user: str) -> None:
    await server.user("alice")
    login = (await server.nobody.post("/login", password_login(user))).json()
    assert set(login) == {"user_id", "access_token", "device_id"}
    assert await whoami(server, login["access_token"]) == 200


async def test_a_login_that_a_change_of_password_overtakes_is_refused(server: ApiServer) -> None:
    alice = await server.user("alice")
    asked = await alice.post("/account/password", {"new_password": "another password"})
    body = {"new_password": "another password", "auth": alice.password_auth(asked)}
    logins = [server.nobody.post("/login", password_login("alice")) for _ in range(20)]
    answers = await asyncio.gather(alice.post("/account/password", body), *logins)
    assert answers[0].status_code == 200
    for answer in answers[1:]:
        if answer.status_code == 200:
            assert await whoami(server, answer.json()["access_token"]) == 401
        else:
            assert answer.json() == WRONG


async def test_the_legacy_user_field(server: ApiServer) -> None:
    await server.user("alice")
    body = {"type": "m.login.password", "user": "alice", "password": PASSWORD}
    assert (await server.nobody.post("/login", body)).status_code == 200


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("alice", "wrong"),
        ("alice", "x" * 5_000),
        ("nobody", PASSWORD),
        ("@alice:elsewhere", PASSWORD),
        ("not a name", PASSWORD),
        ("a\0b", PASSWORD),
    ],
)
async def test_unknown_users_and_wrong_passwords_are_answered_alike(
    server: ApiServer, user: str, password: str
) -> None:
    await server.user("alice")
    refused = await server.nobody.post("/login", password_login(user, password))
    assert refused.status_code == 403
    assert refused.json() == WRONG


async def test_other_identifiers_know_nobody(server: ApiServer) -> None:
    body = password_login("alice")
    body["identifier"] = {"type": "m.id.thirdparty", "medium": "email", "address": "a@b"}
    refused = await server.nobody.post("/login", body)
    assert (refused.status_code, refused.json()) == (403, WRONG)


async def test_requests_that_make_no_sense(server: ApiServer) -> None:
    post = server.nobody.post
    assert problem(await post("/login", {"type": "m.login.magic"})) == (400, "M_UNKNOWN")
    assert problem(await post("/login", {})) == (400, "M_BAD_JSON")
    assert problem(await post("/login", {"type": "m.login.password"})) == (400, "M_MISSING_PARAM")
    assert problem(await post("/login", {"type": "m.login.token"})) == (400, "M_MISSING_PARAM")
    no_user = {"type": "m.login.password", "password": PASSWORD}
    assert problem(await post("/login", no_user)) == (400, "M_INVALID_PARAM")
    odd_device = password_login("alice", device_id="a\0b")
    assert problem(await post("/login", odd_device)) == (400, "M_BAD_JSON")


async def test_a_device_used_again_keeps_its_name_and_loses_its_tokens(server: ApiServer) -> None:
    await server.user("alice")
    first = await server.log_in("alice", device_id="D", initial_device_display_name="Desk")
    assert await whoami(server, first.token) == 200
    second = await server.log_in("alice", device_id="D", initial_device_display_name="Other")
    assert await whoami(server, first.token) == 401
    device = (await second.get("/devices/D")).json()
    assert device["display_name"] == "Desk"


async def test_two_devices_are_two(server: ApiServer) -> None:
    alice = await server.user("alice")
    phone = await server.log_in("alice")
    assert alice.device_id != phone.device_id
    assert await whoami(server, alice.token) == await whoami(server, phone.token) == 200


async def test_logging_out_ends_the_token_and_the_device(server: ApiServer) -> None:
    alice = await server.user("alice")
    phone = await server.log_in("alice")
    assert (await phone.post("/logout")).json() == {}
    refused = await phone.get("/account/whoami")
    assert problem(refused) == (401, "M_UNKNOWN_TOKEN")
    assert refused.json()["soft_logout"] is False
    devices = (await alice.get("/devices")).json()["devices"]
    assert [device["device_id"] for device in devices] == [alice.device_id]


async def test_logging_out_everywhere(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    phone = await server.log_in("alice")
    assert (await phone.post("/logout/all")).status_code == 200
    assert await whoami(server, alice.token) == await whoami(server, phone.token) == 401
    assert await whoami(server, bob.token) == 200


async def test_tokens_that_are_missing_or_unknown(server: ApiServer) -> None:
    assert problem(await server.nobody.get("/account/whoami")) == (401, "M_MISSING_TOKEN")
    assert problem(await server.holding("guess").get("/account/whoami")) == (
        401,
        "M_UNKNOWN_TOKEN",
    )


async def test_a_token_in_the_query_is_accepted(server: ApiServer) -> None:
    alice = await server.user("alice")
    answer = await server.nobody.get("/account/whoami", access_token=alice.token)
    assert answer.json()["user_id"] == alice.user_id


async def refreshing(server: ApiServer) -> tuple[Person, str]:
    await server.user("alice")
    phone = await server.log_in("alice", refresh_token=True)
    return phone, phone.login["refresh_token"]


async def refresh(server: ApiServer, token: str) -> dict[str, str]:
    answer = await server.nobody.post("/refresh", {"refresh_token": token})
    assert answer.status_code == 200, answer.text
    renewed: dict[str, str] = answer.json()
    return renewed


async def test_an_expired_token_is_a_soft_logout(server: ApiServer) -> None:
    phone, refresh_token = await refreshing(server)
    assert await whoami(server, phone.token) == 200
    server.clock.advance(int(phone.login["expires_in_ms"]))
    refused = await phone.get("/account/whoami")
    assert problem(refused) == (401, "M_UNKNOWN_TOKEN")
    assert refused.json()["soft_logout"] is True
    renewed = await refresh(server, refresh_token)
    who = await server.holding(renewed["access_token"]).get("/account/whoami")
    assert who.json()["device_id"] == phone.device_id


async def test_a_refresh_may_be_repeated_until_its_tokens_are_used(server: ApiServer) -> None:
    _, refresh_token = await refreshing(server)
    lost = await refresh(server, refresh_token)
    kept = await refresh(server, refresh_token)
    assert lost["access_token"] != kept["access_token"]
    assert await whoami(server, kept["access_token"]) == 200
    again = await server.nobody.post("/refresh", {"refresh_token": refresh_token})
    assert problem(again) == (401, "M_UNKNOWN_TOKEN")
    assert await refresh(server, kept["refresh_token"])


async def test_using_the_new_refresh_token_ends_the_old_one(server: ApiServer) -> None:
    _, refresh_token = await refreshing(server)
    renewed = await refresh(server, refresh_token)
    await refresh(server, renewed["refresh_token"])
    again = await server.nobody.post("/refresh", {"refresh_token": refresh_token})
    assert problem(again) == (401, "M_UNKNOWN_TOKEN")


async def test_logging_out_ends_refresh_tokens(server: ApiServer) -> None:
    phone, refresh_token = await refreshing(server)
    await phone.post("/logout")
    refused = await server.nobody.post("/refresh", {"refresh_token": refresh_token})
    assert problem(refused) == (401, "M_UNKNOWN_TOKEN")


async def test_a_login_token_logs_in_once(server: ApiServer) -> None:
    alice = await server.user("alice")
    given = await alice.prove("POST", "/_matrix/client/v1/login/get_token", {})
    assert given.json()["expires_in_ms"] == 120_000
    body = {"type": "m.login.token", "token": given.json()["login_token"]}
    login = await server.nobody.post("/login", body)
    assert login.json()["user_id"] == alice.user_id
    assert problem(await server.nobody.post("/login", body)) == (403, "M_FORBIDDEN")


async def test_each_login_token_takes_a_proof_of_its_own(server: ApiServer) -> None:
    alice, path = await server.user("alice"), "/_matrix/client/v1/login/get_token"
    auth = alice.password_auth(await alice.post(path, {}))
    assert (await alice.post(path, {"auth": auth})).status_code == 200
    only_session = {"auth": {"session": auth["session"]}}
    assert (await alice.post(path, only_session)).status_code == 401


async def test_a_login_token_expires(server: ApiServer) -> None:
    alice = await server.user("alice")
    given = await alice.prove("POST", "/_matrix/client/v1/login/get_token", {})
    server.clock.advance(120_000)
    body = {"type": "m.login.token", "token": given.json()["login_token"]}
    assert problem(await server.nobody.post("/login", body)) == (403, "M_FORBIDDEN")


async def test_a_locked_account_may_only_log_out(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert await whoami(server, alice.token) == 200

    async def lock(tx: WriteTx) -> None:
        await tx.execute("UPDATE users SET locked = 1")
        await server.server.device_store.note_all_changed(tx, alice.user_id)  # type: ignore[arg-type]

    await server.server.db.write(lock)
    refused = await alice.get("/account/whoami")
    assert problem(refused) == (401, "M_USER_LOCKED")
    assert refused.json()["soft_logout"] is True
    login = await server.nobody.post("/login", password_login("alice"))
    assert problem(login) == (401, "M_USER_LOCKED")
    assert (await alice.post("/logout")).status_code == 200
    assert problem(await alice.post("/logout")) == (401, "M_UNKNOWN_TOKEN")


async def test_passwords_tried_are_limited_for_each_account(start_server: Starter) -> None:
    server = await start_server()
    await server.user("alice")
    limits = {"login": {"per_second": 0.01, "burst": 3}}
    limited = await start_server(rate_limits=limits)
    answers = [await limited.nobody.post("/login", password_login("alice", "no")) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [403, 403, 403, 429, 429]
    assert answers[-1].json()["retry_after_ms"] > 0


async def test_what_one_server_process_ends_is_ended_in_all(start_server: Starter) -> None:
    here, there = await start_server(), await start_server()
    alice = await here.user("alice")
    assert await whoami(there, alice.token) == 200
    await alice.post("/logout")
    if there.server.db.kind == "sqlite":  # where one server alone may use the database,
        await there.user("bob")  # it hears of other processes with its next write
    for _ in range(200):
        if await whoami(there, alice.token) == 401:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the token still works")
