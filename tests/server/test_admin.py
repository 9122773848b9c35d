"""The administrator's commands, as processes: what they print and how they end."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "correct horse battery staple"


def admin(data: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidings.server", "admin", *arguments, "--data", str(data)]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=60, check=False
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_the_life_of_an_account(tmp_path: Path) -> None:
    created = admin(
        tmp_path, "user", "create", "Alice", "--admin", "--password-stdin", "--json",
        given=f"{PASSWORD}\n",
    )  # fmt: skip
    assert lines(created)[0]["user_id"] == "@alice:localhost"
    assert PASSWORD not in created.stdout + created.stderr
    again = admin(tmp_path, "user", "create", "alice", "--password-stdin", given=PASSWORD)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "tidings admin: This user name is taken\n"
    changed = admin(tmp_path, "user", "set-password", "alice", "--password-stdin", given="short")
    assert changed.returncode == 1
    unsure = admin(tmp_path, "user", "deactivate", "alice")
    assert unsure.returncode == 1
    ended = admin(tmp_path, "user", "deactivate", "@alice:localhost", "--yes")
    assert ended.stdout == "@alice:localhost  admin  deactivated\n"
    listed = lines(admin(tmp_path, "user", "list", "--json"))
    assert [row["is_deactivated"] for row in listed] == [True]
    elsewhere = admin(tmp_path, "user", "list", "--server-name", "example.org")
    assert "belongs to localhost" in elsewhere.stderr


@pytest.mark.slow
def test_registration_tokens(tmp_path: Path) -> None:
    made = admin(
        tmp_path, "registration-token", "create", "--token", "welcome", "--uses", "3",
        "--hours", "1", "--json",
    )  # fmt: skip
    token = lines(made)[0]
    assert (token["token"], token["uses_allowed"], token["is_valid"]) == ("welcome", 3, True)
    twice = admin(tmp_path, "registration-token", "create", "--token", "welcome")
    assert twice.returncode == 1
    odd = admin(tmp_path, "registration-token", "create", "--token", "wel come")
    assert odd.returncode == 1
    listed = admin(tmp_path, "registration-token", "list")
    assert listed.stdout == "welcome  used 0/3\n"


def test_a_password_is_never_taken_from_nowhere(tmp_path: Path) -> None:
    done = admin(tmp_path, "user", "create", "alice")
    assert done.returncode == 1
    assert "--password-stdin" in done.stderr
    assert list(tmp_path.iterdir()) == []
