"""Previews of pages, kept for a while."""

from tidings.server.storage.database import ReadTx, WriteTx


class UrlPreviewStore:
    """Verbs on previews; an empty one says that there is none."""

    async def find(self, tx: ReadTx, url_hash: str, after_ms: int) -> bytes | None:
        """A preview that was made after a time."""
        sql = "SELECT json FROM url_previews WHERE url_hash = ? AND created_ts > ?"
        return await tx.find_value(bytes, sql, url_hash, after_ms)

    async def save(self, tx: WriteTx, url_hash: str, json: bytes, now_ms: int) -> None:
        """Keep a preview instead of any earlier one."""
        await tx.execute(
            "INSERT INTO url_previews (url_hash, json, created_ts) VALUES (?,?,?)"
            " ON CONFLICT (url_hash) DO UPDATE SET json = excluded.json,"
            " created_ts = excluded.created_ts",
            url_hash, json, now_ms,
        )  # fmt: skip
