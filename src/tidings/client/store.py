"""Small private files of a person: where they live and how they are written.

A file is replaced whole or not at all, is readable by its owner only, and a read-change-write of it
is done under a lock, so that two commands at once lose nothing.
Places: the XDG base directory specification.
"""

import os
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec

if sys.platform != "win32":
    import fcntl


class Places(msgspec.Struct, frozen=True):
    """The directories a person's files are in."""

    config: Path
    state: Path


def find_places(environment: Mapping[str, str]) -> Places:
    """Where the environment says that files go."""
    home = Path(environment.get("HOME") or Path.home())
    config = _xdg(environment, "XDG_CONFIG_HOME", home / ".config")
    state = _xdg(environment, "XDG_STATE_HOME", home / ".local" / "state")
    return Places(config / "tidings", state / "tidings")


def _xdg(environment: Mapping[str, str], name: str, default: Path) -> Path:
    named = environment.get(name, "")
    return Path(named) if named.startswith("/") else default  # relative ones are invalid: XDG


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step; only its owner may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def find_private(path: Path) -> bytes | None:
    """A file's content, None if there is none; a file others could read is closed to them."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                path.chmod(0o600)
            return file.read()
    except FileNotFoundError:
        return None


@contextmanager
def locked(path: Path) -> Generator[None, None, None]:
    """Keep other commands from changing the file meanwhile."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("wb") as file:
        if sys.platform != "win32":  # there, one command at a time is the person's own care
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Cursor:
    """How far a reader has got: a sync token kept between runs."""

    def __init__(self, places: Places, user_id: str, name: str) -> None:
        self._path = places.state / quote(user_id, safe="@") / f"{quote(name, safe='')}.since"

    def find(self) -> str | None:
        """The token, None at the first run."""
        content = find_private(self._path)
        return content.decode() if content else None

    def save(self, since: str) -> None:
        """Everything before the token has been dealt with."""
        write_private(self._path, since.encode())
