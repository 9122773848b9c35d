from pathlib import Path

import pytest

from tidings.client.store import Cursor, Places, find_places, find_private, write_private


def test_places_follow_the_environment() -> None:
    places = find_places({"HOME": "/home/ann", "XDG_STATE_HOME": "/var/ann"})
    assert places == Places(Path("/home/ann/.config/tidings"), Path("/var/ann/tidings"))


def test_relative_xdg_directories_are_passed_over() -> None:
    places = find_places({"HOME": "/home/ann", "XDG_CONFIG_HOME": "etc"})
    assert places.config == Path("/home/ann/.config/tidings")


def test_a_private_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "secret"
    write_private(path, b"x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert find_private(path) == b"x"


def test_a_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0o644)
    assert find_private(path) == b"x"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, b"old")
    with pytest.raises(TypeError):
        write_private(path, "not bytes")  # type: ignore[arg-type]
    assert find_private(path) == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_cursor_keeps_a_token_for_each_person_and_purpose(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path)
    cursor = Cursor(places, "@ann/../x:h", "tail")
    assert cursor.find() is None
    cursor.save("s5")
    assert Cursor(places, "@ann/../x:h", "tail").find() == "s5"
    assert Cursor(places, "@bob:h", "tail").find() is None
    assert all(path.parent.parent == tmp_path for path in tmp_path.rglob("*.since"))
