"""POST /register and what belongs to it.

Source: client-server API, "Legacy account registration".
"""

from functools import partial

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, MissingParam
from tidings.protocol.ids import DeviceId
from tidings.server import config
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.devices import NewSession
from tidings.server.services.registration import NewAccount, Registration
from tidings.server.services.user_interactive import (
    DUMMY,
    REGISTRATION_TOKEN,
    Auth,
    Challenge,
    UserInteractive,
)

CLOSED = "Registration is disabled on this server"
_FLOWS = {"open": ((DUMMY,),), "token": ((REGISTRATION_TOKEN,),)}


class RegisterBody(msgspec.Struct, frozen=True):
    """The body of POST /register."""

    auth: Auth | None = None
    username: str | None = None
    password: str | None = None
    device_id: ShortText | None = None
    initial_device_display_name: ShortText | None = None
    inhibit_login: bool | None = None
    refresh_token: bool | None = None

    def session(self) -> NewSession | None:
        """The login that is asked for."""
        if self.inhibit_login:
            return None
        return NewSession(
            DeviceId(self.device_id) if self.device_id else None,
            self.initial_device_display_name,
            bool(self.refresh_token),
        )


class Registering:
    """What the endpoints of registration work with."""

    def __init__(
        self,
        registration: Registration,
        user_interactive: UserInteractive,
        settings: config.Registration,
    ) -> None:
        self.registration = registration
        self.user_interactive = user_interactive
        self.settings = settings

    def check_open(self) -> None:
        """Whether anybody may register here; raises Forbidden."""
        if self.settings.mode == "closed":
            raise Forbidden(CLOSED)


def routes(
    registration: Registration, user_interactive: UserInteractive, settings: config.Registration
) -> list[Route]:
    """The endpoints of registration."""
    desk = Registering(registration, user_interactive, settings)
    available, validity = partial(check_available, desk), partial(check_token, desk)
    validity_path = "/_matrix/client/v1/register/m.login.registration_token/validity"
    return [
        Route("POST", f"{V3}/register", partial(register, desk), auth="none", limit="register"),
        Route("GET", f"{V3}/register/available", available, auth="none", limit="register"),
        Route("GET", validity_path, validity, auth="none", limit="register"),
    ]


async def register(desk: Registering, request: Request) -> Response:
    """POST /register."""
    kind = request.query.get("kind", "user")
    if kind == "guest":
        return await _register_guest(desk, request)
    if kind != "user":
        raise InvalidParam("kind must be user or guest")
    desk.check_open()
    body = request.json(RegisterBody)
    user_id = await desk.registration.check_username(body.username)
    if body.password is not None:
        desk.registration.check_password(body.password)
    # The request may change between the stages: nobody gains by it, and a person may pick
    # another name when the first one is taken.
    challenge = Challenge("register", _FLOWS[desk.settings.mode])
    proof = await desk.user_interactive.check(challenge, body.auth)
    if body.password is None:
        raise MissingParam("The password is missing")
    new = NewAccount(user_id, body.password, body.session(), proof.registration_token)
    session = await desk.registration.register(new)
    return json_response(session or {"user_id": user_id})


async def _register_guest(desk: Registering, request: Request) -> Response:
    if not desk.settings.guests:
        raise Forbidden("This server takes no guests")
    # "all parameters in the request body with the exception of initial_device_display_name
    # MUST BE ignored"
    name = request.json(RegisterBody).initial_device_display_name
    user_id = await desk.registration.check_username(None)
    new = NewAccount(user_id, None, NewSession(device_name=name), is_guest=True)
    return json_response(await desk.registration.register(new))


async def check_available(desk: Registering, request: Request) -> Response:
    """GET /register/available."""
    desk.check_open()
    await desk.registration.check_username(request.query_needed("username"))
    return json_response({"available": True})


async def check_token(desk: Registering, request: Request) -> Response:
    """GET /register/m.login.registration_token/validity."""
    desk.check_open()
    token = request.query_needed("token")
    return json_response({"valid": await desk.registration.is_token_valid(token)})
