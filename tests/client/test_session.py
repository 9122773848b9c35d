from pathlib import Path

import pytest

from tests.homeserver import Homeserver
from tidings.client.errors import ClientError, LoginNeeded
from tidings.client.session import (
    Profile,
    SessionRequest,
    connect,
    credentials_path,
    find_profile,
    remove_profile,
    save_profile,
)
from tidings.protocol.ids import DeviceId, UserId


def request(home: Path, profile: str | None = None, **environment: str) -> SessionRequest:
    return SessionRequest({"HOME": str(home), **environment}, profile)


ANN = Profile("http://hs", UserId("@ann:hs"), DeviceId("D"), "token")


def test_profiles_are_kept_side_by_side(tmp_path: Path) -> None:
    places = request(tmp_path).places
    save_profile(places, "default", ANN)
    save_profile(places, "work", ANN)
    remove_profile(places, "default")
    assert find_profile(places, "default") is None
    assert find_profile(places, "work") == ANN
    assert credentials_path(places).stat().st_mode & 0o777 == 0o600


async def test_without_a_login_one_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LoginNeeded, match="you are not logged in") as caught:
        await connect(request(tmp_path))
    assert caught.value.hint == "log in with: tidings login"
    with pytest.raises(LoginNeeded, match="'work' is not logged in"):
        await connect(request(tmp_path, TIDINGS_PROFILE="work"))


async def test_the_option_is_stronger_than_the_environment(tmp_path: Path) -> None:
    asked = request(tmp_path, "home", TIDINGS_PROFILE="work")
    save_profile(asked.places, "home", ANN)
    async with await connect(asked) as http:
        assert (http.base_url, http.user_id) == ("http://hs", "@ann:hs")


@pytest.mark.parametrize("name", ["../x", "", "a b", "-x", "x" * 65])
def test_a_profile_name_is_not_a_path(tmp_path: Path, name: str) -> None:
    asked = request(tmp_path, name or " ")
    with pytest.raises(ClientError, match="profile"):
        _ = asked.profile_name


async def test_a_broken_file_is_named(tmp_path: Path) -> None:
    asked = request(tmp_path)
    save_profile(asked.places, "default", ANN)
    credentials_path(asked.places).write_text("{")
    with pytest.raises(ClientError, match="cannot be read"):
        await connect(asked)


async def test_a_token_needs_its_server(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="which server"):
        await connect(request(tmp_path, TIDINGS_TOKEN="x"))


async def test_a_token_in_the_environment_needs_no_file(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    token = alice.require_login().access_token
    asked = request(tmp_path, TIDINGS_TOKEN=token, TIDINGS_SERVER=server.base_url)
    async with await connect(asked) as http:
        assert (http.user_id, http.device_id) == (alice.user_id, alice.device_id)
    assert find_profile(asked.places, "default") is None
