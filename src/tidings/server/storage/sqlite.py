"""The embedded database: SQLite in WAL mode, synchronous=FULL.

Statements of the writer run on the event loop, where they take microseconds;
only the commit, which waits for the disk, leaves it. (A writer thread costs
more: each statement gives the interpreter lock away and must win it back.)
Readers have connections of their own; a query that may be long runs in a
thread.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from tidings.server.storage.database import Connection, Row, StorageError, Value

READERS = 4
BUSY_PATIENCE_S = 10.0
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA busy_timeout=0",
)


class SqliteConnection:
    """A connection used by one task at a time."""

    def __init__(self, path: Path, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self.raw = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in _PRAGMAS:
            self.raw.execute(pragma)

    async def fetch(self, sql: str, args: Sequence[Value]) -> list[Row]:
        return self._fetch(sql, args)

    async def scan(self, sql: str, args: Sequence[Value]) -> list[Row]:
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self._threads, self._fetch, sql, args)
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            # A thread cannot be stopped: until it is done, the connection is not free.
            await asyncio.wait((reading,))
            raise

    async def execute(self, sql: str, args: Sequence[Value]) -> int:
        try:
            return self.raw.execute(sql, args).rowcount
        except sqlite3.OperationalError as error:
            raise StorageError(str(error)) from error

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        try:
            self.raw.executemany(sql, rows)
        except sqlite3.OperationalError as error:
            raise StorageError(str(error)) from error

    def _fetch(self, sql: str, args: Sequence[Value]) -> list[Row]:
        try:
            return self.raw.execute(sql, args).fetchall()
        except sqlite3.OperationalError as error:
            raise StorageError(str(error)) from error


class SqliteDriver:
    """One writer, a few readers, one thread for commits."""

    name = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(READERS + 1, thread_name_prefix="sqlite")
        self._idle: list[SqliteConnection] = []
        self._turn = asyncio.Semaphore(READERS)

    async def open(self) -> None:
        try:
            self._writer = SqliteConnection(self._path, self._threads)
        except sqlite3.Error as error:
            message = f"cannot open the database {self._path}: {error}"
            raise StorageError(message) from error

    async def close(self) -> None:
        for connection in self._idle:
            connection.raw.close()
        self._writer.raw.close()
        self._threads.shutdown()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Connection]:
        async with self._turn:
            try:
                connection = (
                    self._idle.pop() if self._idle else SqliteConnection(self._path, self._threads)
                )
                connection.raw.execute("BEGIN")
            except sqlite3.Error as error:
                raise StorageError(str(error)) from error
            try:
                yield connection
            finally:
                connection.raw.rollback()
                self._idle.append(connection)

    async def begin(self) -> tuple[Connection, int]:
        waited = 0.0
        while True:
            try:
                self._writer.raw.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or waited > BUSY_PATIENCE_S:
                    raise StorageError(str(error)) from error
            # Another process (an admin command, a backup) is writing: a moment, off the loop.
            await asyncio.sleep(0.005)
            waited += 0.005
        try:
            row = self._writer.raw.execute("SELECT position FROM stream WHERE id = 1").fetchone()
        except sqlite3.Error as error:
            await self.rollback()
            raise StorageError(str(error)) from error
        return self._writer, row[0]

    async def commit(self, position: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._writer.raw.execute("UPDATE stream SET position = ? WHERE id = 1", (position,))
            await loop.run_in_executor(self._threads, self._writer.raw.execute, "COMMIT")
        except sqlite3.Error as error:
            await self.rollback()
            raise StorageError(str(error)) from error

    async def rollback(self) -> None:
        if self._writer.raw.in_transaction:
            self._writer.raw.rollback()

    async def listen(self, heard: Callable[[int], None]) -> None:
        """Nobody to listen to: other processes are seen by the counter at the next write."""
