"""Filters that clients have stored for later syncs."""

from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx


class FilterStore:
    """Verbs on filters; one that is stored never changes."""

    async def insert(self, tx: WriteTx, user_id: UserId, filter_id: str, json: bytes) -> None:
        """Keep a filter, unless it is kept already."""
        await tx.execute(
            "INSERT INTO filters (user_id, filter_id, json) VALUES (?,?,?)"
            " ON CONFLICT (user_id, filter_id) DO NOTHING",
            user_id, filter_id, json,
        )  # fmt: skip

    async def find(self, tx: ReadTx, user_id: UserId, filter_id: str) -> bytes | None:
        """A filter's definition."""
        sql = "SELECT json FROM filters WHERE user_id = ? AND filter_id = ?"
        return await tx.find_value(bytes, sql, user_id, filter_id)
