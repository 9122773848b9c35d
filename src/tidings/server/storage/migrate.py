"""Brings a database to the newest shape, or back to an older one.

`python -m tidings.server.storage.migrate` reads the URL from TIDINGS_DATABASE_URL.
The server runs it as a process of its own, and only when the database is
behind: Alembic and SQLAlchemy would otherwise stay in its memory.
"""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

import asyncpg

from tidings.server.storage.database import StorageError

URL_VARIABLE = "TIDINGS_DATABASE_URL"
_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest_revision() -> str:
    """The revision this code is written for."""
    return max(path.name[1:5] for path in _VERSIONS.glob("v[0-9]*.py"))


async def current_revision(url: str) -> str | None:
    """The revision the database has, without loading Alembic; None for an empty one."""
    sql = "SELECT version_num FROM alembic_version"
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.exists():  # noqa: ASYNC240 - once, before anything is served
            return None
        connection = sqlite3.connect(path)
        try:
            row = connection.execute(sql).fetchone()
        except sqlite3.OperationalError:
            return None
        except sqlite3.DatabaseError as error:
            message = f"{path} is not a Tidings database: {error}"
            raise StorageError(message) from error
        finally:
            connection.close()
        return row[0] if row else None
    try:
        raw = await asyncpg.connect(url)
    except (OSError, asyncpg.PostgresError) as error:
        message = f"cannot reach PostgreSQL: {error}"
        raise StorageError(message) from error
    try:
        version = await raw.fetchval(sql)
        return None if version is None else str(version)
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await raw.close()


async def ensure_newest(url: str) -> None:
    """Migrate when the database is behind; refuse one that is ahead of this code."""
    current, newest = await current_revision(url), newest_revision()
    if current == newest:
        return
    if current is not None and current > newest:
        message = (
            f"the database has revision {current}, newer than this version's {newest}: "
            f"run the newer version, or its `tidings admin db downgrade {newest}` first"
        )
        raise StorageError(message)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidings.server.storage.migrate",
        env={**os.environ, URL_VARIABLE: url}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    if process.returncode:
        message = f"the migration failed: {errors.decode(errors='replace').strip()[-2000:]}"
        raise StorageError(message)


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade or downgrade to the revision (`head`, `base` or a number)."""
    from alembic import command  # noqa: PLC0415 - see the module's text
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "tidings.server.storage:migrations")
    sync_url = url.replace("postgresql://", "postgresql+asyncpg://")
    config.set_main_option("sqlalchemy.url", sync_url.replace("%", "%%"))
    current = asyncio.run(current_revision(url)) or ""
    forward = revision == "head" or (revision != "base" and revision > current)
    (command.upgrade if forward else command.downgrade)(config, revision)


if __name__ == "__main__":
    migrate(os.environ[URL_VARIABLE], *sys.argv[1:2])
