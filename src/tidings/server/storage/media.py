"""What was uploaded and which file holds it.

A file is counted in where its hash stands in `media` or in `thumbnails`; there is no counter to
go wrong. Uploads of the same content share one file.
"""

import msgspec

from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.files import StoredFile

_MEDIA = (
    "SELECT m.media_id, m.user_id, m.sha256, m.size_bytes, m.content_type, m.file_name,"
    " m.created_ts, m.expires_ts, m.used_ts, m.is_quarantined, f.name"
    " FROM media m LEFT JOIN files f ON f.sha256 = m.sha256"
)

_NOT_SHOWN = (
    "NOT EXISTS (SELECT 1 FROM media m WHERE m.sha256 = f.sha256)"
    " AND NOT EXISTS (SELECT 1 FROM thumbnails t WHERE t.sha256 = f.sha256)"
)
_NO_SOURCE = "NOT EXISTS (SELECT 1 FROM media m WHERE m.sha256 = t.source)"


class MediaRow(msgspec.Struct, frozen=True, array_like=True):
    """A piece of media; without `sha256` it is announced, but not uploaded."""

    media_id: str
    user_id: UserId
    sha256: str | None
    size_bytes: int
    content_type: str
    """As it is served: what the uploader claimed, unless that was plainly wrong."""
    file_name: str
    """As the uploader named it; may be empty."""
    created_ts: int
    expires_ts: int | None
    """Until when an announced upload may come."""
    used_ts: int
    is_quarantined: int
    stored_name: str | None


class Announced(msgspec.Struct, frozen=True):
    """A new piece of media, before its content is known."""

    media_id: str
    user_id: UserId
    now_ms: int
    expires_ts: int | None = None
    is_preview: bool = False


class Content(msgspec.Struct, frozen=True):
    """The content of a piece of media."""

    file: StoredFile
    content_type: str
    file_name: str = ""


class ThumbnailRow(msgspec.Struct, frozen=True, array_like=True):
    """A thumbnail that was made before."""

    sha256: str
    size_bytes: int
    content_type: str
    stored_name: str


class MediaStore:
    """Verbs on media and files."""

    async def insert(self, tx: WriteTx, new: Announced) -> None:
        """Announce a piece of media."""
        await tx.execute(
            "INSERT INTO media (media_id, user_id, content_type, file_name, created_ts,"
            " expires_ts, used_ts, is_preview) VALUES (?,?,'','',?,?,?,?)",
            new.media_id, new.user_id, new.now_ms, new.expires_ts, new.now_ms, int(new.is_preview),
        )  # fmt: skip

    async def fill(self, tx: WriteTx, media_id: str, content: Content) -> str:
        """Give a piece of media its content; the name of the file that holds it from now on.

        That may be the file of an earlier upload: then the new one is not needed.
        """
        name = await self.adopt(tx, content.file)
        await tx.execute(
            "UPDATE media SET sha256 = ?, size_bytes = ?, content_type = ?, file_name = ?,"
            " expires_ts = NULL WHERE media_id = ?",
            content.file.sha256, content.file.size_bytes, content.content_type, content.file_name,
            media_id,
        )  # fmt: skip
        return name

    async def adopt(self, tx: WriteTx, file: StoredFile) -> str:
        """Make a file known, unless its content is known already; the name to use."""
        await tx.execute(
            "INSERT INTO files (sha256, name, size_bytes) VALUES (?,?,?)"
            " ON CONFLICT (sha256) DO NOTHING",
            file.sha256, file.name, file.size_bytes,
        )  # fmt: skip
        name = await tx.find_value(str, "SELECT name FROM files WHERE sha256 = ?", file.sha256)
        return name or file.name

    async def find(self, tx: ReadTx, media_id: str) -> MediaRow | None:
        """A piece of media."""
        return await tx.find(MediaRow, f"{_MEDIA} WHERE m.media_id = ?", media_id)

    async def bytes_of(self, tx: ReadTx, user_id: UserId) -> int:
        """How much somebody has uploaded."""
        sql = "SELECT CAST(coalesce(sum(size_bytes), 0) AS BIGINT) FROM media WHERE user_id = ?"
        return await tx.find_value(int, sql, user_id) or 0

    async def pending_of(self, tx: ReadTx, user_id: UserId, now_ms: int) -> int:
        """How many announced uploads of somebody may still come."""
        sql = "SELECT count(*) FROM media WHERE user_id = ? AND expires_ts > ?"
        return await tx.find_value(int, sql, user_id, now_ms) or 0

    async def touch(self, tx: WriteTx, used: dict[str, int]) -> None:
        """Note when media was last used."""
        await tx.execute_many(
            "UPDATE media SET used_ts = ? WHERE media_id = ?",
            [(used_ts, media_id) for media_id, used_ts in used.items()],
        )

    async def delete_expired(self, tx: WriteTx, now_ms: int) -> int:
        """Forget announced uploads that did not come; how many there were."""
        return await tx.execute("DELETE FROM media WHERE expires_ts <= ?", now_ms)

    async def unused_since(self, tx: ReadTx, time_ms: int, limit: int) -> list[MediaRow]:
        """Media that nobody has looked at since a time; what is quarantined stays, as evidence."""
        return await tx.scan(
            MediaRow,
            f"{_MEDIA} WHERE m.used_ts < ? AND m.sha256 IS NOT NULL AND m.is_quarantined = 0"
            " ORDER BY m.used_ts LIMIT ?",
            time_ms, limit,
        )  # fmt: skip

    async def delete_announced(self, tx: WriteTx, media_id: str) -> None:
        """Remove media that has not been uploaded."""
        await tx.execute("DELETE FROM media WHERE media_id = ? AND sha256 IS NULL", media_id)

    async def delete_previews(self, tx: WriteTx, before_ms: int) -> int:
        """Remove previews, and the pictures of previews unused since a time; how many pictures."""
        await tx.execute("DELETE FROM url_previews WHERE created_ts < ?", before_ms)
        sql = "DELETE FROM media WHERE is_preview = 1 AND used_ts < ?"
        return await tx.execute(sql, before_ms)

    async def lasting_uses(self, tx: ReadTx) -> list[bytes]:
        """JSON that shows media for good: avatars of people and rooms, packs of emotes."""
        rows = await tx.scan(
            tuple[bytes],
            "SELECT value FROM profile_fields WHERE field = 'avatar_url' UNION ALL"
            " SELECT content FROM account_data WHERE type = 'im.ponies.user_emotes' UNION ALL"
            " SELECT e.json FROM state s JOIN events e ON e.position = s.position"
            " WHERE s.type IN ('m.room.avatar', 'im.ponies.room_emotes')",
        )
        return [row[0] for row in rows]

    async def delete(self, tx: WriteTx, media_ids: list[str]) -> None:
        """Remove pieces of media; their files go with the next sweep."""
        await tx.execute_many(
            "DELETE FROM media WHERE media_id = ?", [(media_id,) for media_id in media_ids]
        )

    async def set_quarantined(self, tx: WriteTx, media_id: str, *, is_quarantined: bool) -> bool:
        """Keep a piece of media from being served, or let it be again; False if it is not there."""
        sql = "UPDATE media SET is_quarantined = ? WHERE media_id = ?"
        return await tx.execute(sql, int(is_quarantined), media_id) > 0

    async def unused_files(self, tx: ReadTx, limit: int) -> list[str]:
        """The content that nothing shows any more."""
        rows = await tx.scan(
            tuple[str], f"SELECT f.sha256 FROM files f WHERE {_NOT_SHOWN} LIMIT ?", limit
        )
        return [row[0] for row in rows]

    async def drop_files(self, tx: WriteTx, sha256s: list[str]) -> list[str]:
        """Forget the files that are still unused; their names, to be deleted after the commit."""
        names: list[str] = []
        for sha256 in sha256s:
            sql = f"DELETE FROM files AS f WHERE f.sha256 = ? AND {_NOT_SHOWN} RETURNING name"
            names += [row[0] for row in await tx.fetch(tuple[str], sql, sha256)]
            tx.writes += 1
        return names

    async def orphaned_thumbnails(self, tx: ReadTx, limit: int) -> list[tuple[str, str]]:
        """Thumbnails of content that is gone."""
        sql = f"SELECT t.source, t.shape FROM thumbnails t WHERE {_NO_SOURCE} LIMIT ?"
        return await tx.scan(tuple[str, str], sql, limit)

    async def drop_thumbnails(self, tx: WriteTx, keys: list[tuple[str, str]]) -> None:
        """Forget thumbnails whose content is still gone."""
        sql = f"DELETE FROM thumbnails AS t WHERE t.source = ? AND t.shape = ? AND {_NO_SOURCE}"
        await tx.execute_many(sql, keys)

    async def known_names(self, tx: ReadTx, names: list[str]) -> set[str]:
        """Which of the names are files that count."""
        marks = ",".join("?" * len(names))
        found = await tx.scan(tuple[str], f"SELECT name FROM files WHERE name IN ({marks})", *names)
        return {row[0] for row in found}

    async def find_thumbnail(self, tx: ReadTx, source: str, shape: str) -> ThumbnailRow | None:
        """A thumbnail of some content."""
        return await tx.find(
            ThumbnailRow,
            "SELECT t.sha256, t.size_bytes, t.content_type, f.name FROM thumbnails t"
            " JOIN files f ON f.sha256 = t.sha256 WHERE t.source = ? AND t.shape = ?",
            source, shape,
        )  # fmt: skip

    async def limit_thumbnails(self, tx: WriteTx, source: str, most: int) -> None:
        """Drop all thumbnails of some content once there are too many; they are made again."""
        sql = "SELECT count(*) FROM thumbnails WHERE source = ?"
        if (await tx.find_value(int, sql, source) or 0) >= most:
            await tx.execute("DELETE FROM thumbnails WHERE source = ?", source)

    async def insert_thumbnail(
        self, tx: WriteTx, source: str, shape: str, content: Content
    ) -> None:
        """Keep a thumbnail, whose file is known."""
        await tx.execute(
            "INSERT INTO thumbnails (source, shape, sha256, content_type, size_bytes)"
            " VALUES (?,?,?,?,?) ON CONFLICT (source, shape) DO NOTHING",
            source, shape, content.file.sha256, content.content_type, content.file.size_bytes,
        )  # fmt: skip
