import secrets
from pathlib import Path

from tests.cli.command import Tidings
from tests.homeserver import PASSWORD, Homeserver
from tidings.client.accounts import log_out


async def test_register_log_in_and_out(tmp_path: Path, server: Homeserver) -> None:
    name = f"ann-{secrets.token_hex(4)}"
    tidings = Tidings(tmp_path)
    register = ("login", server.base_url, "--register", "--user", name, "--password-stdin")
    registered = await tidings.run(*register, "--json", stdin=PASSWORD)
    assert registered.code == 0
    (shown,) = registered.records
    assert str(shown["user_id"]).startswith(f"@{name}:")
    assert (await tidings.run(*register, stdin=PASSWORD)).code == 1  # the name is taken now

    login = ("login", server.base_url, "--user", name, "--password-stdin")
    again = await tidings.run(*login, "--json", stdin=f"{PASSWORD}\n")
    assert again.records == [shown]  # the same device goes on
    assert (await tidings.run(*login, "-P", "work", stdin=PASSWORD)).code == 0
    assert (await tidings.run(*login, stdin="wrong")).code == 5

    (me,) = (await tidings.run("whoami", "--json")).records
    assert me == shown
    (work,) = (await tidings.run("-P", "work", "whoami", "--json")).records
    assert work["device_id"] != me["device_id"]

    assert (await tidings.run("logout")).code == 0
    assert (await tidings.run("whoami")).code == 4
    assert (await tidings.run("whoami", "--profile", "work")).code == 0
    credentials = tmp_path / ".config" / "tidings" / "credentials.json"
    assert credentials.stat().st_mode & 0o777 == 0o600


async def test_log_in_with_a_token(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    token = alice.require_login().access_token
    tidings = Tidings(tmp_path)
    result = await tidings.run("login", server.base_url, "--token-stdin", stdin=f"{token}\n")
    assert result.code == 0
    assert (await tidings.run("whoami")).out == f"{alice.user_id}\n"
    bad = await tidings.run("login", server.base_url, "--token-stdin", stdin="nonsense\n")
    assert bad.code == 4


async def test_logging_out_twice_is_no_failure_of_ours(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    tidings = Tidings(tmp_path)
    token = alice.require_login().access_token
    await tidings.run("login", server.base_url, "--token-stdin", stdin=token)
    await log_out(alice)
    result = await tidings.run("logout")
    assert result.code == 0
    assert "ended this login already" in result.err
    assert (await tidings.run("whoami")).code == 4
