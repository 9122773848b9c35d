"""The index on SQLite: an FTS5 table in a file of its own beside the database.

In its own file it has its own lock: a message is never kept waiting by the
index being written, merged or remade. The file may be deleted; it comes back.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

import msgspec

from tidings.protocol.ids import EventId
from tidings.rules.search_query import Clause
from tidings.rules.search_tokens import TOKENS_VERSION
from tidings.server.storage.database import StorageError
from tidings.server.storage.events import placeholders
from tidings.server.storage.search import BEGINNING, Batch, Checkpoint, Hit, Sought

T = TypeVar("T")
READERS = 2
_SCHEMA = (
    "PRAGMA journal_mode=WAL",
    # What a power cut takes from the index it takes from its checkpoint too.
    "PRAGMA synchronous=NORMAL",
    "PRAGMA secure_delete=ON",
    "PRAGMA busy_timeout=10000",
    # The tokenizer `ascii` parts at spaces only what we send; all else was done by our own rules.
    (
        "CREATE VIRTUAL TABLE IF NOT EXISTS documents"
        " USING fts5(tokens, tokenize='ascii', detail=none, columnsize=0)"
    ),
    "CREATE TABLE IF NOT EXISTS sources (position INTEGER PRIMARY KEY, source INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS sources_source ON sources (source)",
    (
        "CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY, version INTEGER NOT NULL,"
        " position INTEGER NOT NULL, event_position INTEGER NOT NULL, event_id TEXT NOT NULL)"
    ),
)


class SqliteSearchIndex:
    """Writes in one thread, reads in others."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.stem}-search{path.suffix}")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="search-write")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="search-read")
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()

    async def open(self) -> None:
        """Connect; an index that cannot be read is made anew."""
        await self._run(self._writing, self._open)

    async def close(self) -> None:
        """Disconnect."""
        self._writing.shutdown()
        self._reading.shutdown()
        self._writer.close()
        while not self._readers.empty():
            self._readers.get().close()

    async def checkpoint(self) -> Checkpoint:
        """How far the index is."""
        return await self._run(self._writing, self._read_checkpoint)

    async def clear(self) -> None:
        """Remove everything."""
        await self._run(self._writing, self._clear)

    async def apply(self, expected: Checkpoint, batch: Batch) -> bool:
        """Write a batch."""
        return await self._run(self._writing, lambda: self._apply(expected, batch))

    async def find(self, sought: Sought) -> list[Hit]:
        """Candidates, the newest first."""
        sql = (
            "SELECT d.rowid, s.source FROM documents d LEFT JOIN sources s"
            " ON s.position = d.rowid WHERE d.documents MATCH ? AND d.rowid < ?"
            " ORDER BY d.rowid DESC LIMIT ?"
        )
        args = (match_expression(sought.clauses), sought.before, sought.limit)
        rows = await self._run(self._reading, lambda: self._fetch(sql, args))
        return msgspec.convert(rows, list[Hit])

    async def documents_from(self, sources: Sequence[int]) -> list[int]:
        """The documents whose text is from one of the edits."""
        if not sources:
            return []
        sql = f"SELECT position FROM sources WHERE source IN ({placeholders(len(sources))})"
        rows = await self._run(self._reading, lambda: self._fetch(sql, tuple(sources)))
        return msgspec.convert([row[0] for row in rows], list[int])

    @staticmethod
    async def _run(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(threads, work)
        except sqlite3.Error as error:
            raise StorageError(f"the search index: {error}") from error

    def _open(self) -> None:
        try:
            self._writer = _connect(self._path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for suffix in ("", "-wal", "-shm"):  # not a database: it is made again from the events
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            self._writer = _connect(self._path)
        for _ in range(READERS):
            self._readers.put(_connect(self._path))

    def _fetch(self, sql: str, args: tuple[object, ...]) -> list[tuple[object, ...]]:
        reader = self._readers.get()
        try:
            return reader.execute(sql, args).fetchall()
        finally:
            self._readers.put(reader)

    def _read_checkpoint(self) -> Checkpoint:
        row = self._writer.execute(
            "SELECT position, event_position, event_id FROM progress WHERE version = ?",
            (TOKENS_VERSION,),
        ).fetchone()
        return Checkpoint(row[0], row[1], EventId(row[2])) if row else BEGINNING

    def _clear(self) -> None:
        with self._writer as tx:
            tx.execute("BEGIN IMMEDIATE")
            tx.execute("DELETE FROM documents")
            tx.execute("DELETE FROM sources")
            tx.execute("DELETE FROM progress")

    def _apply(self, expected: Checkpoint, batch: Batch) -> bool:
        with self._writer as tx:
            tx.execute("BEGIN IMMEDIATE")
            if self._read_checkpoint() != expected:
                return False
            gone = [(position,) for position in batch.removed]
            tx.executemany("DELETE FROM documents WHERE rowid = ?", gone)
            tx.executemany("DELETE FROM sources WHERE position = ?", gone)
            tx.executemany(
                "INSERT INTO documents (rowid, tokens) VALUES (?,?)",
                [(document.position, document.tokens) for document in batch.documents],
            )
            tx.executemany(
                "INSERT INTO sources (position, source) VALUES (?,?)",
                [(each.position, each.source) for each in batch.documents if each.source],
            )
            now = batch.checkpoint
            tx.execute(
                "INSERT OR REPLACE INTO progress VALUES (1,?,?,?,?)",
                (TOKENS_VERSION, now.position, now.event_position, now.event_id),
            )
        return True


def match_expression(clauses: Sequence[Clause]) -> str:
    """The clauses in FTS5's language; every token is quoted, so none of it is an operator."""
    return " AND ".join(
        "(" + " OR ".join(_all_of(alternative) for alternative in clause.alternatives) + ")"
        for clause in clauses
    )


def _all_of(tokens: Sequence[str]) -> str:
    quoted = [f'"{token[:-1]}" *' if token.endswith("*") else f'"{token}"' for token in tokens]
    return f"({' AND '.join(quoted)})" if len(quoted) > 1 else quoted[0]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for statement in _SCHEMA:
        connection.execute(statement)
    return connection
