"""Getting in and out: registration, login, logout, who we are.

Source: client-server API, "Client authentication", "Account registration and management".
"""

import msgspec

from tidings.client.errors import AuthenticationNeeded, BadAnswer, Forbidden
from tidings.client.http import Http, Login, v3
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId


class Credentials(msgspec.Struct, frozen=True):
    """What a person gives to log in or to register."""

    user: str
    """A local part or a whole user id."""
    password: str
    device_name: str = "tidings"
    device_id: DeviceId | None = None
    """A device of earlier logins to go on with."""
    registration_token: str | None = None


class WhoAmI(msgspec.Struct, frozen=True):
    """The owner of an access token."""

    user_id: UserId
    device_id: DeviceId = DeviceId("")
    is_guest: bool = False


class _LoginAnswer(msgspec.Struct, frozen=True):
    access_token: str
    user_id: UserId
    device_id: DeviceId

    def as_login(self) -> Login:
        return Login(self.access_token, self.user_id, self.device_id)


class _Flow(msgspec.Struct, frozen=True):
    stages: list[str]


class _Stages(msgspec.Struct, frozen=True):
    """The parts of a user-interactive authentication answer we use."""

    flows: list[_Flow] = []
    completed: list[str] = []
    session: str | None = None


async def log_in(http: Http, who: Credentials) -> Login:
    """Log in with a password."""
    body: JsonObject = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": who.user},
        "password": who.password,
        "initial_device_display_name": who.device_name,
    }
    if who.device_id:
        body["device_id"] = who.device_id
    return (await http.post(v3("login"), body, _LoginAnswer)).as_login()


async def register(http: Http, who: Credentials) -> Login:
    """Make a new account and log in; raises AuthenticationNeeded if a stage is beyond us."""
    body: JsonObject = {
        "username": who.user,
        "password": who.password,
        "initial_device_display_name": who.device_name,
    }
    auth: JsonObject | None = None
    done: tuple[str, ...] = ()
    while True:
        try:
            request = {**body, "auth": auth} if auth else body
            return (await http.post(v3("register"), request, _LoginAnswer)).as_login()
        except AuthenticationNeeded as needed:
            auth = _next_stage(needed, who, done)
            done = (*done, str(auth["type"]))


def _next_stage(
    needed: AuthenticationNeeded, who: Credentials, done: tuple[str, ...]
) -> JsonObject:
    """The answer to the next stage of a flow that we can walk to its end."""
    stages = msgspec.convert(needed.body, _Stages)
    answers: dict[str, JsonObject] = {"m.login.dummy": {}}
    if who.registration_token:
        answers["m.login.registration_token"] = {"token": who.registration_token}
    for flow in stages.flows:
        left = [stage for stage in flow.stages if stage not in stages.completed]
        # A stage we have answered and which is still asked for was answered wrongly.
        if left and left[0] not in done and all(stage in answers for stage in left):
            return {"type": left[0], "session": stages.session, **answers[left[0]]}
    raise _why_not(needed, stages)


def _why_not(needed: AuthenticationNeeded, stages: _Stages) -> Exception:
    if needed.body.get("errcode"):
        return Forbidden(403, needed.errcode, needed.message)
    names = {stage for flow in stages.flows for stage in flow.stages} - set(stages.completed)
    if "m.login.registration_token" in names:
        error = Forbidden(403, "M_FORBIDDEN", "this server asks for a registration token")
        error.hint = "ask its administrator for one, then add: --registration-token TOKEN"
        return error
    return BadAnswer(
        f"this server asks for steps we do not know: {', '.join(sorted(names))}",
        "register with a web client, then log in here",
    )


async def who_am_i(http: Http) -> WhoAmI:
    """Whose access token this is."""
    return await http.get(v3("account", "whoami"), WhoAmI)


async def log_out(http: Http) -> None:
    """End this login; its token and its device are gone."""
    await http.post(v3("logout"), {}, JsonObject)
