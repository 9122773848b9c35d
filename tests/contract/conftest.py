"""The contract needs a server, on one database: the API's own tests run on both."""

import shutil
from pathlib import Path

import pytest

from tests.api.conftest import clock, server, start_server

__all__ = ["clock", "server", "start_server"]


@pytest.fixture
def db_url(sqlite_template: Path, tmp_path: Path) -> str:
    """An empty, migrated SQLite database."""
    path = tmp_path / "tidings.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"
