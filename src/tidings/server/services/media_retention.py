"""What becomes of media that is not needed: announced and never sent, unused, left over.

Media goes first, files follow: one that nothing in the database shows is forgotten in a
transaction and deleted after it. A crash in between leaves a file that the database does not
know; such files are swept away when they are a day old.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from tidings.server import config
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.files import FileStore
from tidings.server.storage.media import MediaRow, MediaStore
from tidings.server.storage.resumable_uploads import ResumableStore

DAY_MS = 86_400_000
BATCH = 200
"""Rows handled in one transaction: others write in between."""
PREVIEWS_KEPT_MS = 30 * DAY_MS
LEFT_OVER_MS = DAY_MS
"""Files younger than this may belong to an upload under way."""

_MEDIA_ID = re.compile(rb"mxc://[^/\"]+/([A-Za-z0-9_-]+)")


class Swept(msgspec.Struct, frozen=True):
    """What a sweep has removed."""

    announced: int = 0
    media: int = 0
    files: int = 0


class MediaRetention:
    """Removes media that is not needed."""

    def __init__(
        self,
        db: Database,
        store: MediaStore,
        files: FileStore,
        settings: config.Media,
        clock: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._resumable = ResumableStore()
        self._files = files
        self._settings = settings
        self._now_ms = clock

    async def unused(self, days: int, limit: int) -> list[MediaRow]:
        """What a retention of so many days would delete, longest unused first.

        Avatars and emotes stay: clients keep copies of them, and seldom ask.
        """
        before_ms = self._now_ms() - days * DAY_MS
        async with self._db.read() as tx:
            lasting = {
                media_id.decode()
                for json in await self._store.lasting_uses(tx)
                for media_id in _MEDIA_ID.findall(json)
            }
            rows = await self._store.unused_since(tx, before_ms, limit + len(lasting))
        return [row for row in rows if row.media_id not in lasting][:limit]

    async def sweep(self, disk_now_ms: int) -> Swept:
        """Remove what is not needed; the disk's clock tells the age of files."""
        announced = await self._drop_announced()
        media = await self._drop_unused() if self._settings.retention_days else 0
        media += await self._drop_previews()
        await self._drop_thumbnails()
        await self._drop_parts(disk_now_ms)
        files = await self._drop_files() + await self._drop_left_over(disk_now_ms)
        return Swept(announced, media, files)

    async def _drop_announced(self) -> int:
        async def recipe(tx: WriteTx) -> int:
            await self._resumable.delete_expired(tx, self._now_ms())
            return await self._store.delete_expired(tx, self._now_ms())

        return await self._db.write(recipe)

    async def _drop_unused(self) -> int:
        total = 0
        while rows := await self.unused(self._settings.retention_days, BATCH):
            media_ids = [row.media_id for row in rows]

            async def recipe(tx: WriteTx, media_ids: list[str] = media_ids) -> None:
                await self._store.delete(tx, media_ids)

            await self._db.write(recipe)
            total += len(media_ids)
        return total

    async def _drop_previews(self) -> int:
        """Pictures of pages are copies: they go when nobody has looked at them for a while."""

        async def recipe(tx: WriteTx) -> int:
            return await self._store.delete_previews(tx, self._now_ms() - PREVIEWS_KEPT_MS)

        return await self._db.write(recipe)

    async def _drop_thumbnails(self) -> None:
        while True:
            async with self._db.read() as tx:
                keys = await self._store.orphaned_thumbnails(tx, BATCH)
            if not keys:
                return

            async def recipe(tx: WriteTx, keys: list[tuple[str, str]] = keys) -> None:
                await self._store.drop_thumbnails(tx, keys)

            await self._db.write(recipe)

    async def _drop_files(self) -> int:
        total = 0
        while True:
            async with self._db.read() as tx:
                unused = await self._store.unused_files(tx, BATCH)
            if not unused:
                return total

            async def recipe(tx: WriteTx, unused: list[str] = unused) -> list[str]:
                return await self._store.drop_files(tx, unused)

            for name in await self._db.write(recipe):
                await self._files.delete(name)
                total += 1

    async def _drop_left_over(self, disk_now_ms: int) -> int:
        before_ms, total = disk_now_ms - LEFT_OVER_MS, 0
        for names in _batches(await self._files.names_before(before_ms)):
            async with self._db.read() as tx:
                known = await self._store.known_names(tx, names)
            for name in set(names) - known:
                await self._files.delete(name)
                total += 1
        return total

    async def _drop_parts(self, disk_now_ms: int) -> None:
        """Parts of uploads that ended without a trace, or were never finished."""
        for names in _batches(await self._files.parts_before(disk_now_ms - LEFT_OVER_MS)):
            async with self._db.read() as tx:
                known = await self._resumable.known(tx, names)
            for name in set(names) - known:
                await self._files.delete_part(name)


def _batches(names: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(names), BATCH):
        yield names[first : first + BATCH]
