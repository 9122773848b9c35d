"""The settings: their sources, their order, and what is refused."""

from pathlib import Path

import pytest

from tidings.server.config import Config, ConfigError, load_config, setting_paths


def test_everything_has_a_default() -> None:
    assert load_config(None, {}, {}) == Config()


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text(
        'port = 1\nhost = "::1"\nserver_name = "file"\n[limits]\nrequest_bytes_max = 5\n'
    )
    environment = {"TIDINGS_PORT": "2", "TIDINGS_HOST": "127.0.0.2", "TIDINGS_TOKEN": "x"}
    config = load_config(file, environment, {"port": 3, "data_dir": None})
    assert (config.port, config.host, config.server_name) == (3, "127.0.0.2", "file")
    assert config.limits.request_bytes_max == 5


def test_the_environment_reaches_into_tables() -> None:
    environment = {"TIDINGS_RATE_LIMITS__ENABLED": "false", "TIDINGS_RATE_LIMITS__SEND__BURST": "7"}
    limits = load_config(None, environment, {}).rate_limits
    assert (limits.enabled, limits.send.burst) == (False, 7)


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("prot = 1", "prot"),
        ("[limits]\nrequest_bytes = 1", "request_bytes"),
        ('port = "http"', "port"),
        ("port = 70000", "port"),
        ("port = ", "TOML"),
        ('[registration]\nmode = "maybe"', "registration.mode"),
        ('publish_rooms = "me"', "publish_rooms"),
        ('default_room_version = "9"', "default_room_version"),
        ('database = "mysql://"', "database"),
        ('dev = true\nhost = "0.0.0.0"', "loopback"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, toml: str, named: str) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError, match=named):
        load_config(file, {}, {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_config(tmp_path / "none.toml", {}, {})


def test_development_switches_limits_off_and_registration_on() -> None:
    config = load_config(None, {}, {"dev": True})
    assert not config.rate_limits.enabled
    assert config.registration.mode == "open"


def test_every_setting_has_a_path_of_its_own() -> None:
    paths = setting_paths(Config)
    assert ("rate_limits", "send", "burst") in paths
    assert len(paths) == len(set(paths))
