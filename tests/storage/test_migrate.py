"""Migrations: up at the start, down on request, never past what this code knows."""

import asyncio
from pathlib import Path

import pytest

from tidings.server.storage.database import Database, Driver, StorageError
from tidings.server.storage.migrate import (
    current_revision,
    ensure_newest,
    migrate,
    newest_revision,
)
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.sqlite import SqliteDriver


def driver_of(url: str) -> Driver:
    if url.startswith("sqlite"):
        return SqliteDriver(Path(url.removeprefix("sqlite:///")))
    return PostgresDriver(url)


async def test_every_migration_can_be_undone_and_done_again(db_url: str) -> None:
    newest = newest_revision()
    for number in range(int(newest) - 1, 0, -1):
        await asyncio.to_thread(migrate, db_url, f"{number:04}")
        assert await current_revision(db_url) == f"{number:04}"
    await asyncio.to_thread(migrate, db_url, "base")
    assert await current_revision(db_url) is None
    await ensure_newest(db_url)
    assert await current_revision(db_url) == newest
    db = Database(driver_of(db_url))
    await db.open()
    assert db.position == 0
    await db.close()


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tidings.db'}"
    await ensure_newest(url)
    driver = SqliteDriver(tmp_path / "tidings.db")
    await driver.open()
    connection, position = await driver.begin()
    await connection.execute("UPDATE alembic_version SET version_num = '9999'", ())
    await driver.commit(position)
    await driver.close()
    with pytest.raises(StorageError, match="newer than this version"):
        await ensure_newest(url)


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tidings.db"
    file.write_bytes(b"not a database at all, but long enough to look at" * 10)
    with pytest.raises(StorageError, match=r"tidings\.db"):
        await ensure_newest(f"sqlite:///{file}")
