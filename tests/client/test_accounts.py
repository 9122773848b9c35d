import secrets

import pytest

from tests.client.wire import connection, ok, refusal
from tests.homeserver import PASSWORD, Homeserver
from tidings.client.accounts import Credentials, log_in, log_out, register, who_am_i
from tidings.client.errors import ApiError, BadAnswer, Forbidden, LoginNeeded
from tidings.client.http import Http

LOGIN = {"access_token": "t", "user_id": "@a:h", "device_id": "D"}
ANN = Credentials("ann", "pw", registration_token="ticket")


def stages(
    *flows: list[str], completed: tuple[str, ...] = (), **extra: object
) -> dict[str, object]:
    return {
        "session": "S",
        "flows": [{"stages": flow} for flow in flows],
        "completed": list(completed),
        **extra,
    }


async def test_registration_walks_the_flow_it_can() -> None:
    flows = (["m.login.recaptcha"], ["m.login.registration_token", "m.login.dummy"])
    http, wire, _ = connection(
        refusal(401, "X", **stages(*flows)),
        refusal(401, "X", **stages(*flows, completed=("m.login.registration_token",))),
        ok(LOGIN),
    )
    assert (await register(http, ANN)).user_id == "@a:h"
    assert b'"token":"ticket"' in wire.requests[1].content
    assert b'"m.login.dummy"' in wire.requests[2].content


async def test_a_refused_stage_is_not_tried_for_ever() -> None:
    refused = refusal(401, "M_UNAUTHORIZED", **stages(["m.login.registration_token"]))
    http, _, _ = connection(refused, refused)
    with pytest.raises(Forbidden):
        await register(http, ANN)


async def test_a_missing_registration_token_is_asked_for() -> None:
    asked = ok(stages(["m.login.registration_token"]))
    asked.status_code = 401
    http, _, _ = connection(asked)
    with pytest.raises(Forbidden, match="asks for a registration token"):
        await register(http, Credentials("ann", "pw"))


async def test_steps_we_do_not_know_are_named() -> None:
    asked = ok(stages(["m.login.recaptcha"]))
    asked.status_code = 401
    http, _, _ = connection(asked)
    with pytest.raises(BadAnswer, match=r"m\.login\.recaptcha"):
        await register(http, ANN)


async def test_from_registration_to_logout_on_a_real_server(server: Homeserver) -> None:
    who = Credentials(f"ann-{secrets.token_hex(4)}", PASSWORD)
    nobody = server.track(Http(server.base_url))
    first = await register(nobody, who)
    with pytest.raises(ApiError) as taken:
        await register(nobody, who)
    assert taken.value.errcode == "M_USER_IN_USE"
    with pytest.raises(Forbidden):
        await log_in(nobody, Credentials(who.user, "wrong"))

    again = await log_in(nobody, Credentials(who.user, PASSWORD, device_id=first.device_id))
    assert (again.user_id, again.device_id) == (first.user_id, first.device_id)
    http = server.track(nobody.logged_in(again))
    assert (await who_am_i(http)).user_id == first.user_id
    await log_out(http)
    with pytest.raises(LoginNeeded):
        await who_am_i(http)
