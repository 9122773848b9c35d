"""Who we are between two commands: profiles in one private file, overridden by the environment.

`TIDINGS_TOKEN` with `TIDINGS_SERVER` needs no file at all; a stored token is only ever sent to the
server it came from.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from tidings.client.accounts import who_am_i
from tidings.client.backoff import Patience
from tidings.client.discovery import discover
from tidings.client.errors import ClientError, login_needed
from tidings.client.http import Http, Login, Surroundings
from tidings.client.store import Places, find_places, find_private, locked, write_private
from tidings.protocol.ids import DeviceId, UserId

DEFAULT_PROFILE = "default"
_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class Profile(msgspec.Struct, frozen=True):
    """One stored login."""

    base_url: str
    user_id: UserId
    device_id: DeviceId
    access_token: str

    @property
    def login(self) -> Login:
        """What the homeserver wants to see."""
        return Login(self.access_token, self.user_id, self.device_id)


class Profiles(msgspec.Struct, frozen=True):
    """The content of the file."""

    profiles: dict[str, Profile] = {}


class SessionRequest(msgspec.Struct, frozen=True):
    """Which session a command asks for."""

    environment: Mapping[str, str]
    profile: str | None = None
    patience: Patience = Patience()
    surroundings: Surroundings = Surroundings()

    @property
    def profile_name(self) -> str:
        """The profile that is meant; raises ClientError for a name that cannot be one."""
        name = self.profile or self.environment.get("TIDINGS_PROFILE") or DEFAULT_PROFILE
        if not _PROFILE_NAME.match(name):
            raise ClientError(
                f"{name!r} cannot be a profile's name", "use letters, digits and . _ - only"
            )
        return name

    @property
    def places(self) -> Places:
        """Where this person's files are."""
        return find_places(self.environment)


async def connect(request: SessionRequest) -> Http:
    """A connection with a login; raises LoginNeeded when there is none."""
    if token := request.environment.get("TIDINGS_TOKEN"):
        return await _connect_with_token(request, token)
    profile = find_profile(request.places, request.profile_name)
    if profile is None:
        raise login_needed(_nobody(request))
    return Http(profile.base_url, profile.login, request.patience, request.surroundings)


def _nobody(request: SessionRequest) -> str:
    if request.profile_name == DEFAULT_PROFILE:
        return "you are not logged in"
    return f"the profile {request.profile_name!r} is not logged in"


async def _connect_with_token(request: SessionRequest, token: str) -> Http:
    server = request.environment.get("TIDINGS_SERVER", "")
    if not server:
        raise ClientError(
            "TIDINGS_TOKEN is set, but not which server it is for",
            "set TIDINGS_SERVER too, for example to https://matrix.example.org",
        )
    base_url = server if "://" in server else await discover(server, request.surroundings)
    return await log_in_with_token(request, base_url, token)


async def log_in_with_token(request: SessionRequest, base_url: str, token: str) -> Http:
    """A connection for an access token that somebody gave us; the server says whose it is."""
    login = Login(token, UserId(""), DeviceId(""))
    async with Http(base_url, login, request.patience, request.surroundings) as http:
        owner = await who_am_i(http)
    login = Login(token, owner.user_id, owner.device_id)
    return Http(base_url, login, request.patience, request.surroundings)


def credentials_path(places: Places) -> Path:
    """The file with the logins."""
    return places.config / "credentials.json"


def load_profiles(places: Places) -> dict[str, Profile]:
    """All stored logins by profile name."""
    path = credentials_path(places)
    content = find_private(path)
    if content is None:
        return {}
    try:
        return msgspec.json.decode(content, type=Profiles).profiles
    except msgspec.MsgspecError as error:
        raise ClientError(
            f"{path} cannot be read: {error}", "mend or remove it, then log in again"
        ) from error


def find_profile(places: Places, name: str) -> Profile | None:
    """A stored login, None if there is none of that name."""
    return load_profiles(places).get(name)


def save_profile(places: Places, name: str, profile: Profile) -> None:
    """Store a login under a name, in place of an earlier one."""
    _change(places, lambda profiles: {**profiles, name: profile})


def remove_profile(places: Places, name: str) -> None:
    """Forget a login."""
    _change(places, lambda profiles: {n: p for n, p in profiles.items() if n != name})


def _change(places: Places, change: Callable[[dict[str, Profile]], dict[str, Profile]]) -> None:
    path = credentials_path(places)
    with locked(path):
        after = Profiles(change(load_profiles(places)))
        write_private(path, msgspec.json.format(msgspec.json.encode(after)) + b"\n")
