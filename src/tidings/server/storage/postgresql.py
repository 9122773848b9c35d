"""PostgreSQL through asyncpg: the same SQL text, other placeholders.

The row of the counter is locked for the length of a transaction, so writers of
several processes take turns and positions become visible in their order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import lru_cache

import asyncpg

from tidings.server.storage.database import Connection, Row, StorageError, Value

CHANNEL = "tidings_position"
READERS = 8
LISTEN_RETRY_S = 1.0
_PATIENCE = {"lock_timeout": "10s", "idle_in_transaction_session_timeout": "30s"}
"""A process that hangs while it has the counter keeps the others waiting no longer than this."""
_FAULTS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection says that was cut off at a bad moment
    OSError,
)
_WRONG_VALUES = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""Faults of one statement's values: the database is well, and the recipe alone fails."""


@lru_cache(maxsize=1024)
def numbered(sql: str) -> str:
    """The SQL text with `$1 $2 …` for its question marks (none of ours stands in a literal)."""
    parts = sql.split("?")
    return "".join(
        part + (f"${number}" if number < len(parts) else "")
        for number, part in enumerate(parts, start=1)
    )


def _refusal(error: Exception) -> Exception:
    if isinstance(error, _WRONG_VALUES):
        return ValueError(str(error))
    return StorageError(str(error))


class PostgresConnection:
    """A connection inside a transaction."""

    def __init__(self, raw: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._raw = raw

    async def fetch(self, sql: str, args: Sequence[Value]) -> list[Row]:
        try:
            return [tuple(row) for row in await self._raw.fetch(numbered(sql), *args)]
        except _FAULTS as error:
            raise _refusal(error) from error

    scan = fetch

    async def execute(self, sql: str, args: Sequence[Value]) -> int:
        try:
            done = await self._raw.execute(numbered(sql), *args)
        except _FAULTS as error:
            raise _refusal(error) from error
        count = done.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        try:
            await self._raw.executemany(numbered(sql), rows)
        except _FAULTS as error:
            raise _refusal(error) from error


class PostgresDriver:
    """A pool for readers, one connection to write with, one to listen on."""

    name = "postgresql"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._writer: asyncpg.Connection[asyncpg.Record] | None = None
        self._listener: asyncio.Task[None] | None = None

    async def open(self) -> None:
        try:
            self._pool = await asyncpg.create_pool(self._dsn, min_size=1, max_size=READERS)
        except _FAULTS as error:
            raise StorageError(f"cannot reach PostgreSQL: {error}") from error

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
        if self._writer is not None:
            await self._writer.close()
        await self._pool.close()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Connection]:
        try:
            async with (
                self._pool.acquire() as raw,
                raw.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield PostgresConnection(raw)
        except _FAULTS as error:
            await self._pool.expire_connections()  # what cut one off has cut off all of them
            raise StorageError(str(error)) from error

    async def begin(self) -> tuple[Connection, int]:
        try:
            if self._writer is None or self._writer.is_closed():
                self._writer = await asyncpg.connect(self._dsn, server_settings=_PATIENCE)
            self._transaction = self._writer.transaction()
            await self._transaction.start()
            sql = "SELECT position FROM stream WHERE id = 1 FOR UPDATE"
            position = await self._writer.fetchval(sql)
        except _FAULTS as error:
            await self._drop_writer()
            raise StorageError(str(error)) from error
        return PostgresConnection(self._writer), position

    async def commit(self, position: int) -> None:
        writer = self._writer
        if writer is None:
            raise StorageError("the connection was lost")
        try:
            await writer.execute("UPDATE stream SET position = $1 WHERE id = 1", position)
            await writer.execute("SELECT pg_notify($1, $2)", CHANNEL, str(position))
            await self._transaction.commit()
        except _FAULTS as error:
            await self._drop_writer()
            raise StorageError(str(error)) from error

    async def rollback(self) -> None:
        if self._writer is None:
            return
        try:
            await self._transaction.rollback()
        except _FAULTS:
            await self._drop_writer()

    async def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.terminate()

    async def listen(self, heard: Callable[[int], None]) -> None:
        self._listener = asyncio.create_task(self._listen(heard), name="listen")

    async def _listen(self, heard: Callable[[int], None]) -> None:
        """Hear of other processes' commits; what was missed while away is asked for on return."""

        def told(_raw: object, _pid: int, _channel: str, payload: object) -> None:
            heard(int(str(payload)))

        while True:
            lost = asyncio.Event()
            try:
                raw = await asyncpg.connect(self._dsn)
            except _FAULTS:
                await asyncio.sleep(LISTEN_RETRY_S)
                continue
            try:
                raw.add_termination_listener(lambda _raw, lost=lost: lost.set())
                await raw.add_listener(CHANNEL, told)
                heard(await raw.fetchval("SELECT position FROM stream WHERE id = 1"))
                await lost.wait()
            except _FAULTS:
                await asyncio.sleep(LISTEN_RETRY_S)
            finally:
                raw.terminate()
