"""Databases for tests: every test of storage and of the API runs on SQLite and on PostgreSQL.

`db_url` is an empty, migrated database of its own for each test.
"""

import asyncio
import os
import secrets
import shutil
from collections.abc import Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest

from tidings.server.storage.migrate import ensure_newest

T = TypeVar("T")

POSTGRES = os.environ.get("TIDINGS_TEST_POSTGRES", "postgresql://127.0.0.1:5432/test")
"""A database to connect to in order to make others beside it."""
_KEPT = ("alembic_version", "stream")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite database, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _apart(ensure_newest(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_database() -> Generator[str, None, None]:
    """A migrated PostgreSQL database of this session's own."""
    name = f"tidings_test_{secrets.token_hex(6)}"
    try:
        _apart(_execute(POSTGRES, f"CREATE DATABASE {name}"))
    except (OSError, asyncpg.PostgresError) as error:
        pytest.skip(f"NO POSTGRESQL at TIDINGS_TEST_POSTGRES={POSTGRES}: {error}")
    url = f"{POSTGRES.rpartition('/')[0]}/{name}"
    _apart(ensure_newest(url))
    yield url
    _apart(_execute(POSTGRES, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty, migrated database."""
    if request.param == "sqlite":
        path = tmp_path / "tidings.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("postgres_database")
    _apart(_empty(url))
    return url


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """An empty, migrated PostgreSQL database, for what only several processes can show."""
    _apart(_empty(postgres_database))
    return postgres_database


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _empty(url: str) -> None:
    """Deleting few rows is much faster than truncating many tables."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = sorted(row[0] for row in rows if row[0] not in _KEPT)
        for table in tables:
            await connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own tables
        await connection.execute("UPDATE stream SET position = 0")
    finally:
        await connection.close()


def _apart(work: Coroutine[None, None, T]) -> T:
    """Run on a loop of another thread, so that the test's own loop is not disturbed."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
