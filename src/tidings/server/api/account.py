"""One's own account: who one is, another password, the end.

Source: client-server API, "Account management".
"""

from functools import partial

import msgspec

from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.accounts import Accounts
from tidings.server.services.user_interactive import Auth, UserInteractive, password_challenge


class PasswordBody(msgspec.Struct, frozen=True):
    """The body of POST /account/password."""

    new_password: str
    logout_devices: bool = True
    auth: Auth | None = None


class DeactivateBody(msgspec.Struct, frozen=True):
    """The body of POST /account/deactivate.

    The profile goes in any case. `erase` also asks that people who join later
    do not see the user's old messages; that is not done.
    """

    erase: bool = False
    auth: Auth | None = None


def routes(accounts: Accounts, user_interactive: UserInteractive) -> list[Route]:
    """The endpoints of one's own account."""
    password = partial(change_password, accounts, user_interactive)
    end = partial(deactivate, accounts, user_interactive)
    return [
        Route("GET", f"{V3}/account/whoami", who_am_i, auth="guest"),
        Route("GET", f"{V3}/account/3pid", threepids),
        Route("POST", f"{V3}/account/password", password, limit="login"),
        Route("POST", f"{V3}/account/deactivate", end, limit="login"),
    ]


async def who_am_i(request: Request) -> Response:
    """GET /account/whoami."""
    who = request.requester
    return json_response(
        {"user_id": who.user_id, "device_id": who.device_id, "is_guest": who.is_guest}
    )


async def threepids(_: Request) -> Response:
    """GET /account/3pid: accounts have no addresses of other networks."""
    return json_response({"threepids": []})


async def change_password(
    accounts: Accounts, user_interactive: UserInteractive, request: Request
) -> Response:
    """POST /account/password."""
    body, who = request.json(PasswordBody), request.requester
    accounts.check_password(body.new_password)
    asked = {"new_password": body.new_password, "logout_devices": body.logout_devices}
    challenge = password_challenge("password", who.user_id, asked)
    await user_interactive.check(challenge, body.auth)
    if body.logout_devices:
        await accounts.replace_password(who.user_id, body.new_password, but=who.device_id)
    else:
        await accounts.change_password(who.user_id, body.new_password)
    return EMPTY


async def deactivate(
    accounts: Accounts, user_interactive: UserInteractive, request: Request
) -> Response:
    """POST /account/deactivate."""
    body, who = request.json(DeactivateBody), request.requester
    challenge = password_challenge("deactivate", who.user_id, {"erase": body.erase})
    await user_interactive.check(challenge, body.auth)
    await accounts.deactivate(who.user_id)
    # No address was ever bound to an identity server, so none is left there.
    return json_response({"id_server_unbind_result": "success"})
