import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.api.server import PASSWORD, ApiServer, problem
from tidings.server.storage.accounts import RegistrationTokenRow
from tidings.server.storage.database import WriteTx

Starter = Callable[..., Awaitable[ApiServer]]
DUMMY = {"type": "m.login.dummy"}


async def add_token(server: ApiServer, token: str, uses: int | None = None) -> None:
    row = RegistrationTokenRow(token, uses, 0, None, 0)

    async def recipe(tx: WriteTx) -> None:
        await server.server.account_store.insert_registration_token(tx, row)

    await server.server.db.write(recipe)


async def test_registering_takes_a_stage_and_then_gives_a_login(server: ApiServer) -> None:
    body = {"username": "alice", "password": PASSWORD}
    asked = await server.nobody.post("/register", body)
    assert asked.status_code == 401
    assert asked.json()["flows"] == [{"stages": ["m.login.dummy"]}]
    auth = {**DUMMY, "session": asked.json()["session"]}
    done = await server.nobody.post("/register", {**body, "auth": auth})
    assert done.status_code == 200
    assert set(done.json()) == {"user_id", "access_token", "device_id"}
    assert done.json()["user_id"] == "@alice:localhost"
    who = await server.holding(done.json()["access_token"]).get("/account/whoami")
    assert who.json()["device_id"] == done.json()["device_id"]


async def test_flows_are_told_to_whoever_asks_with_an_empty_body(server: ApiServer) -> None:
    asked = await server.nobody.post("/register", {})
    assert asked.status_code == 401
    auth = {**DUMMY, "session": asked.json()["session"]}
    assert problem(await server.nobody.post("/register", {"auth": auth})) == (
        400,
        "M_MISSING_PARAM",
    )


async def test_a_device_may_be_named(server: ApiServer) -> None:
    body = {
        "username": "alice",
        "password": PASSWORD,
        "device_id": "PHONE",
        "initial_device_display_name": "My phone",
        "auth": DUMMY,
    }
    login = (await server.nobody.post("/register", body)).json()
    assert login["device_id"] == "PHONE"
    device = await server.holding(login["access_token"]).get("/devices/PHONE")
    assert device.json()["display_name"] == "My phone"


async def test_inhibit_login_gives_no_token(server: ApiServer) -> None:
    body = {"username": "alice", "password": PASSWORD, "inhibit_login": True, "auth": DUMMY}
    done = await server.nobody.post("/register", body)
    assert done.json() == {"user_id": "@alice:localhost"}


async def test_a_refresh_token_comes_to_those_who_ask(server: ApiServer) -> None:
    body = {"username": "alice", "password": PASSWORD, "refresh_token": True, "auth": DUMMY}
    done = (await server.nobody.post("/register", body)).json()
    assert done["refresh_token"]
    assert done["expires_in_ms"] > 0


async def test_names_are_lower_case_and_taken_once(server: ApiServer) -> None:
    alice = await server.user("Alice")
    assert alice.user_id == "@alice:localhost"
    taken = await server.nobody.post("/register", {"username": "ALICE", "password": PASSWORD})
    assert problem(taken) == (400, "M_USER_IN_USE")


async def test_of_many_who_want_a_name_at_once_one_gets_it(server: ApiServer) -> None:
    body = {"username": "alice", "password": PASSWORD, "auth": DUMMY}
    answers = await asyncio.gather(*(server.nobody.post("/register", body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


@pytest.mark.parametrize("name", ["", "a b", "ünder", "@alice:localhost", "a" * 300, "a\0b"])
async def test_names_outside_the_grammar_are_refused_before_any_stage(
    server: ApiServer, name: str
) -> None:
    refused = await server.nobody.post("/register", {"username": name, "password": PASSWORD})
    assert problem(refused) == (400, "M_INVALID_USERNAME")


async def test_a_name_is_made_up_for_whoever_gives_none(server: ApiServer) -> None:
    body = {"password": PASSWORD, "auth": DUMMY}
    first, second = [(await server.nobody.post("/register", body)).json() for _ in range(2)]
    assert first["user_id"] != second["user_id"]


async def test_weak_passwords_are_refused_before_any_stage(server: ApiServer) -> None:
    refused = await server.nobody.post("/register", {"username": "alice", "password": "short"})
    assert problem(refused) == (400, "M_WEAK_PASSWORD")


async def test_availability(server: ApiServer) -> None:
    await server.user("alice")
    free = await server.nobody.get("/register/available", username="bob")
    assert free.json() == {"available": True}
    taken = await server.nobody.get("/register/available", username="alice")
    assert problem(taken) == (400, "M_USER_IN_USE")
    odd = await server.nobody.get("/register/available", username="b!b")
    assert problem(odd) == (400, "M_INVALID_USERNAME")
    missing = await server.nobody.get("/register/available")
    assert problem(missing) == (400, "M_MISSING_PARAM")


async def test_guests(server: ApiServer) -> None:
    body = {"username": "alice", "device_id": "MINE", "initial_device_display_name": "Guest"}
    guest = (await server.nobody.post("/register?kind=guest", body)).json()
    assert guest["user_id"] != "@alice:localhost"
    assert guest["device_id"] != "MINE"
    held = server.holding(guest["access_token"])
    assert (await held.get("/account/whoami")).json()["is_guest"] is True
    assert problem(await held.post("/user_directory/search", {"search_term": "a"})) == (
        403,
        "M_GUEST_ACCESS_FORBIDDEN",
    )


async def test_an_unknown_kind_of_account_is_refused(server: ApiServer) -> None:
    assert problem(await server.nobody.post("/register?kind=robot", {})) == (
        400,
        "M_INVALID_PARAM",
    )


async def test_a_closed_server_takes_nobody(start_server: Starter) -> None:
    server = await start_server(registration={"mode": "closed"})
    for answer in (
        await server.nobody.post("/register", {"username": "alice", "password": PASSWORD}),
        await server.nobody.post("/register?kind=guest", {}),
        await server.nobody.get("/register/available", username="alice"),
    ):
        assert problem(answer) == (403, "M_FORBIDDEN")


async def test_registration_tokens_let_in_as_many_as_they_say(start_server: Starter) -> None:
    server = await start_server(registration={"mode": "token"})
    await add_token(server, "welcome", uses=1)
    body = {"username": "alice", "password": PASSWORD}
    asked = await server.nobody.post("/register", body)
    assert asked.json()["flows"] == [{"stages": ["m.login.registration_token"]}]
    auth = {"type": "m.login.registration_token", "session": asked.json()["session"]}
    wrong = await server.nobody.post("/register", {**body, "auth": {**auth, "token": "guess"}})
    assert problem(wrong) == (401, "M_FORBIDDEN")
    assert wrong.json()["flows"] == asked.json()["flows"]
    right = await server.nobody.post("/register", {**body, "auth": {**auth, "token": "welcome"}})
    assert right.status_code == 200
    body["username"] = "bob"
    again = await server.nobody.post("/register", {**body, "auth": {**auth, "token": "welcome"}})
    assert problem(again) == (403, "M_FORBIDDEN")  # the session had passed its stage before
    auth["session"] = (await server.nobody.post("/register", body)).json()["session"]
    spent = await server.nobody.post("/register", {**body, "auth": {**auth, "token": "welcome"}})
    assert problem(spent) == (401, "M_FORBIDDEN")


async def test_the_validity_of_a_registration_token(start_server: Starter) -> None:
    server = await start_server(registration={"mode": "token"})
    await add_token(server, "welcome")
    path = "/_matrix/client/v1/register/m.login.registration_token/validity"
    assert (await server.nobody.get(path, token="welcome")).json() == {"valid": True}
    for guess in ("guess", "", "a\0b", "x" * 300):
        assert (await server.nobody.get(path, token=guess)).json() == {"valid": False}


async def test_an_authentication_session_expires(server: ApiServer) -> None:
    body = {"username": "alice", "password": PASSWORD}
    session = (await server.nobody.post("/register", body)).json()["session"]
    server.clock.advance(3_600_000)
    late = await server.nobody.post("/register", {**body, "auth": {**DUMMY, "session": session}})
    assert late.status_code == 401
    assert late.json()["session"] != session
    auth = {**DUMMY, "session": late.json()["session"]}
    assert (await server.nobody.post("/register", {**body, "auth": auth})).status_code == 200


async def test_stages_that_are_not_offered_are_refused(server: ApiServer) -> None:
    body = {"username": "alice", "password": PASSWORD, "auth": {"type": "m.login.recaptcha"}}
    refused = await server.nobody.post("/register", body)
    assert problem(refused) == (401, "M_FORBIDDEN")
    assert refused.json()["session"]


@pytest.mark.parametrize("field", ["username", "password", "auth", "device_id"])
async def test_fields_of_a_wrong_type_are_bad_json(server: ApiServer, field: str) -> None:
    body = {"username": "alice", "password": PASSWORD, field: 5}
    assert problem(await server.nobody.post("/register", body)) == (400, "M_BAD_JSON")


async def test_registering_is_limited_for_each_address(start_server: Starter) -> None:
    limits = {"register": {"per_second": 0.01, "burst": 2}}
    server = await start_server(rate_limits=limits)
    for _ in range(2):
        assert (await server.nobody.post("/register", {})).status_code == 401
    refused = await server.nobody.post("/register", {})
    assert problem(refused) == (429, "M_LIMIT_EXCEEDED")
    assert int(refused.headers["retry-after"]) >= 1
