"""Alembic's entry: one transaction around all that is to be done."""

import asyncio

from alembic import context
from sqlalchemy import Connection, create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine


def migrate_on(connection: Connection) -> None:
    """Run what Alembic was asked for on this connection."""
    if connection.dialect.name == "postgresql":
        # Two servers that start at once must not migrate at once.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7236841)")
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_postgresql(url: str) -> None:
    """PostgreSQL is reached through asyncpg here too, so that one driver is enough."""
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(migrate_on)


def run() -> None:
    """Connect as told by the caller and migrate."""
    url = context.config.get_main_option("sqlalchemy.url")
    if url is None:
        raise RuntimeError("the database URL is missing")
    if url.startswith("postgresql"):
        asyncio.run(migrate_postgresql(url))
        return
    with create_engine(url, poolclass=pool.NullPool).begin() as connection:
        migrate_on(connection)


run()
