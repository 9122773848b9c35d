"""Uploads that come in parts, and how far they have come."""

import msgspec

from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx

_UPLOAD = (
    "SELECT upload_id, user_id, size_bytes, offset_bytes, content_type, file_name, media_id,"
    " expires_ts FROM resumable_uploads"
)


class ResumableRow(msgspec.Struct, frozen=True, array_like=True):
    """An upload; what has come up to `offset_bytes` is on the disk for good."""

    upload_id: str
    user_id: UserId
    size_bytes: int
    offset_bytes: int
    content_type: str
    file_name: str
    media_id: str
    expires_ts: int


class ResumableStore:
    """Verbs on uploads in parts."""

    async def insert(self, tx: WriteTx, row: ResumableRow, now_ms: int) -> None:
        """Begin an upload."""
        await tx.execute(
            "INSERT INTO resumable_uploads (upload_id, user_id, size_bytes, content_type,"
            " file_name, media_id, created_ts, expires_ts) VALUES (?,?,?,?,?,?,?,?)",
            row.upload_id, row.user_id, row.size_bytes, row.content_type, row.file_name,
            row.media_id, now_ms, row.expires_ts,
        )  # fmt: skip

    async def find(self, tx: ReadTx, upload_id: str) -> ResumableRow | None:
        """An upload."""
        return await tx.find(ResumableRow, f"{_UPLOAD} WHERE upload_id = ?", upload_id)

    async def move(self, tx: WriteTx, upload_id: str, offset: int, to: int) -> bool:
        """Note how far an upload has come; False if it is no longer at the offset."""
        done = await tx.execute(
            "UPDATE resumable_uploads SET offset_bytes = ? WHERE upload_id = ?"
            " AND offset_bytes = ?",
            to, upload_id, offset,
        )  # fmt: skip
        return done > 0

    async def delete(self, tx: WriteTx, upload_id: str) -> None:
        """Forget an upload."""
        await tx.execute("DELETE FROM resumable_uploads WHERE upload_id = ?", upload_id)

    async def delete_expired(self, tx: WriteTx, now_ms: int) -> None:
        """Forget uploads that were not finished in time, and finished ones nobody asks about."""
        await tx.execute("DELETE FROM resumable_uploads WHERE expires_ts <= ?", now_ms)

    async def known(self, tx: ReadTx, upload_ids: list[str]) -> set[str]:
        """Which of the names are uploads."""
        marks = ",".join("?" * len(upload_ids))
        sql = f"SELECT upload_id FROM resumable_uploads WHERE upload_id IN ({marks})"
        return {row[0] for row in await tx.scan(tuple[str], sql, *upload_ids)}
