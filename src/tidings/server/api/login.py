"""Logging in and out, and refreshing tokens.

Source: client-server API, "Legacy login".
"""

from functools import partial

import msgspec

from tidings.protocol.errors import MissingParam, Unknown
from tidings.protocol.ids import DeviceId
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.credentials import Identifier, user_of
from tidings.server.services.devices import Devices, NewSession
from tidings.server.services.logins import Logins
from tidings.server.services.user_interactive import Auth, UserInteractive, password_challenge

_FLOWS = {
    "flows": [{"type": "m.login.password"}, {"type": "m.login.token", "get_login_token": True}]
}


class LoginBody(msgspec.Struct, frozen=True):
    """The body of POST /login."""

    type: str
    identifier: Identifier | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    device_id: ShortText | None = None
    initial_device_display_name: ShortText | None = None
    refresh_token: bool | None = None

    def session(self) -> NewSession:
        """The login that is asked for."""
        return NewSession(
            DeviceId(self.device_id) if self.device_id else None,
            self.initial_device_display_name,
            bool(self.refresh_token),
        )


class RefreshBody(msgspec.Struct, frozen=True):
    """The body of POST /refresh."""

    refresh_token: str


class AuthBody(msgspec.Struct, frozen=True):
    """A body of nothing but a proof."""

    auth: Auth | None = None


def routes(logins: Logins, devices: Devices, user_interactive: UserInteractive) -> list[Route]:
    """The endpoints of sessions."""
    get_token = partial(get_login_token, logins, user_interactive)
    out, out_all = partial(log_out, devices), partial(log_out_everywhere, devices)
    return [
        Route("GET", f"{V3}/login", list_flows, auth="none"),
        Route("POST", f"{V3}/login", partial(log_in, logins), auth="none", limit="login"),
        Route("POST", "/_matrix/client/v1/login/get_token", get_token, limit="login"),
        Route("POST", f"{V3}/refresh", partial(refresh, devices), auth="none"),
        Route("POST", f"{V3}/logout", out, auth="locked"),
        Route("POST", f"{V3}/logout/all", out_all, auth="locked"),
    ]


async def list_flows(_: Request) -> Response:
    """GET /login."""
    return json_response(_FLOWS)


async def log_in(logins: Logins, request: Request) -> Response:
    """POST /login."""
    body = request.json(LoginBody)
    if body.type == "m.login.password":
        if body.password is None:
            raise MissingParam("The password is missing")
        user = user_of(body.identifier, body.user)
        return json_response(await logins.by_password(user, body.password, body.session()))
    if body.type == "m.login.token":
        if body.token is None:
            raise MissingParam("The token is missing")
        return json_response(await logins.by_token(body.token, body.session()))
    raise Unknown(f"Logging in by {body.type} is not known here")


async def get_login_token(
    logins: Logins, user_interactive: UserInteractive, request: Request
) -> Response:
    """POST /login/get_token."""
    user_id = request.requester.user_id
    challenge = password_challenge("get_token", user_id, {})
    # "servers MUST always re-prompt the user": one proof, one token.
    await user_interactive.check_once(challenge, request.json(AuthBody).auth)
    return json_response(await logins.new_login_token(user_id))


async def refresh(devices: Devices, request: Request) -> Response:
    """POST /refresh."""
    return json_response(await devices.renew(request.json(RefreshBody).refresh_token))


async def log_out(devices: Devices, request: Request) -> Response:
    """POST /logout."""
    await devices.end(request.requester.user_id, [request.requester.device_id])
    return EMPTY


async def log_out_everywhere(devices: Devices, request: Request) -> Response:
    """POST /logout/all."""
    await devices.end_all(request.requester.user_id)
    return EMPTY
