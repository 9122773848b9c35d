"""The index on PostgreSQL: a column of type tsvector and a GIN index, both built in.

The tokens are ours; PostgreSQL's text search configurations are not asked.
"""

from collections.abc import Sequence

import asyncpg
import msgspec

from tidings.protocol.ids import EventId
from tidings.rules.search_query import Clause
from tidings.rules.search_tokens import TOKENS_VERSION
from tidings.server.storage.database import StorageError
from tidings.server.storage.search import BEGINNING, Batch, Checkpoint, Hit, Sought

CONNECTIONS = 3
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_CHECKPOINT = "SELECT position, event_position, event_id FROM search_progress WHERE version = $1"


class PostgresSearchIndex:
    """Keeps connections of its own, apart from the one that messages are written with."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def open(self) -> None:
        """Connect; raises StorageError."""
        # A plan is made for the words at hand: a rare and a common one need different ones.
        settings = {"plan_cache_mode": "force_custom_plan", "synchronous_commit": "off"}
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn, min_size=0, max_size=CONNECTIONS, server_settings=settings
            )
        except _FAULTS as error:
            raise StorageError(f"the search index: {error}") from error

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()

    async def checkpoint(self) -> Checkpoint:
        """How far the index is."""
        rows = await self._fetch(_CHECKPOINT, TOKENS_VERSION)
        return _checkpoint(rows)

    async def clear(self) -> None:
        """Remove everything."""
        for table in ("search_documents", "search_progress"):
            await self._fetch(f"DELETE FROM {table}")

    async def apply(self, expected: Checkpoint, batch: Batch) -> bool:
        """Write a batch."""
        rows = [(each.position, each.tokens.split(), each.source) for each in batch.documents]
        now = batch.checkpoint
        try:
            async with self._pool.acquire() as raw, raw.transaction():
                # No row to lock exists at first: the lock is on the name of what is written.
                await raw.execute("SELECT pg_advisory_xact_lock(hashtext('search_progress'))")
                if _checkpoint(await raw.fetch(_CHECKPOINT, TOKENS_VERSION)) != expected:
                    return False
                await raw.execute(
                    "DELETE FROM search_documents WHERE position = ANY($1::bigint[])",
                    list(batch.removed),
                )
                await raw.executemany(
                    "INSERT INTO search_documents (position, tokens, source)"
                    " VALUES ($1, array_to_tsvector($2::text[]), $3)",
                    rows,
                )
                await raw.execute(
                    "INSERT INTO search_progress (id, version, position, event_position, event_id)"
                    " VALUES (1,$1,$2,$3,$4) ON CONFLICT (id) DO UPDATE SET"
                    " version = excluded.version, position = excluded.position,"
                    " event_position = excluded.event_position, event_id = excluded.event_id",
                    TOKENS_VERSION, now.position, now.event_position, now.event_id,
                )  # fmt: skip
        except _FAULTS as error:
            raise StorageError(f"the search index: {error}") from error
        return True

    async def find(self, sought: Sought) -> list[Hit]:
        """Candidates, the newest first."""
        rows = await self._fetch(
            "SELECT position, source FROM search_documents WHERE tokens @@ $1::text::tsquery"
            " AND position < $2 ORDER BY position DESC LIMIT $3",
            query_text(sought.clauses), sought.before, sought.limit,
        )  # fmt: skip
        return msgspec.convert([tuple(row) for row in rows], list[Hit])

    async def documents_from(self, sources: Sequence[int]) -> list[int]:
        """The documents whose text is from one of the edits."""
        sql = "SELECT position FROM search_documents WHERE source = ANY($1::bigint[])"
        rows = await self._fetch(sql, list(sources))
        return msgspec.convert([row[0] for row in rows], list[int])

    async def _fetch(self, sql: str, *args: object) -> list["asyncpg.Record"]:
        try:
            async with self._pool.acquire() as raw:
                return [*await raw.fetch(sql, *args)]
        except _FAULTS as error:
            raise StorageError(f"the search index: {error}") from error


def query_text(clauses: Sequence[Clause]) -> str:
    """The clauses as a tsquery; every token is quoted, so none of it is an operator."""
    return " & ".join(
        "(" + " | ".join(_all_of(alternative) for alternative in clause.alternatives) + ")"
        for clause in clauses
    )


def _all_of(tokens: Sequence[str]) -> str:
    quoted = [f"'{token[:-1]}':*" if token.endswith("*") else f"'{token}'" for token in tokens]
    return f"({' & '.join(quoted)})"


def _checkpoint(rows: Sequence["asyncpg.Record"]) -> Checkpoint:
    if not rows:
        return BEGINNING
    position, event_position, event_id = rows[0]
    return Checkpoint(position, event_position, EventId(event_id))
