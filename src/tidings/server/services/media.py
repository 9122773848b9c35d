"""Uploads and downloads.

A file is written first and made known afterwards, in one transaction: what is interrupted in
between is a file that the database does not know, which the sweep removes.
Source: client-server API, "Content repository".
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import msgspec

from tidings.protocol.errors import (
    CannotOverwriteMedia,
    Forbidden,
    LimitExceeded,
    NotFound,
    NotYetUploaded,
    TooLarge,
)
from tidings.protocol.ids import UserId
from tidings.rules.media_types import parse_content_type, parse_file_name
from tidings.server import config
from tidings.server.services.tokens import new_media_id
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.files import FileStore, NoFileError, StoredFile
from tidings.server.storage.media import Announced, Content, MediaRow, MediaStore

POLL_S = 1.0
"""How often a download that waits looks whether another process has taken the upload."""
BEGINNING_BYTES = 16
USED_NOTED_MS = 86_400_000
"""When media was last used is noted once a day: enough for retention."""
USED_MAX = 10_000


class Upload(msgspec.Struct, frozen=True):
    """What somebody uploads, apart from its bytes."""

    user_id: UserId
    content_type: str | None = None
    file_name: str = ""
    declared_bytes: int | None = None
    is_preview: bool = False


class Media:
    """Takes, keeps and gives media."""

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
        self._files = files
        self.settings = settings
        self._now_ms = clock
        self._awaited: dict[str, asyncio.Event] = {}
        self._used: dict[str, int] = {}

    async def upload(self, upload: Upload, chunks: AsyncIterator[bytes]) -> str:
        """Keep what is uploaded; its id. Raises TooLarge, and Forbidden beyond the quota."""
        await self.check_room(upload.user_id, upload.declared_bytes or 0)
        content = await self._save(upload, chunks)
        return await self.publish(upload, content)

    async def publish(self, upload: Upload, content: Content) -> str:
        """Make media of a file that was written; its id."""
        new = Announced(
            new_media_id(), upload.user_id, self._now_ms(), is_preview=upload.is_preview
        )

        async def recipe(tx: WriteTx) -> str:
            await self._check_room(tx, upload.user_id, content.file.size_bytes)
            await self._store.insert(tx, new)
            return await self._store.fill(tx, new.media_id, content)

        await self._adopt(content.file, recipe)
        return new.media_id

    async def announce(self, user_id: UserId, size_bytes: int = 0) -> Announced:
        """A name for an upload that comes later; raises LimitExceeded when too many are to come."""
        now_ms = self._now_ms()
        new = Announced(new_media_id(), user_id, now_ms, now_ms + self.settings.pending_ms)

        async def recipe(tx: WriteTx) -> None:
            pending = await self._store.pending_of(tx, user_id, now_ms)
            if pending >= self.settings.pending_max:
                raise LimitExceeded("Too many uploads are announced that have not come", 60_000)
            await self._check_room(tx, user_id, size_bytes)
            await self._store.insert(tx, new)

        await self._db.write(recipe)
        return new

    async def fill(self, media_id: str, upload: Upload, chunks: AsyncIterator[bytes]) -> None:
        """Take an upload that was announced; raises NotFound, Forbidden, CannotOverwriteMedia."""
        async with self._db.read() as tx:
            self._check_awaited(await self._store.find(tx, media_id), upload.user_id)
        await self.check_room(upload.user_id, upload.declared_bytes or 0)
        await self._fill(media_id, upload.user_id, await self._save(upload, chunks))

    async def fill_with_part(self, media_id: str, upload: Upload, part: str) -> None:
        """Take an upload that was announced, and has come in parts; the part itself stays."""
        file = await self._files.finish(part)
        beginning_bytes = min(BEGINNING_BYTES, file.size_bytes)
        beginning = await self._files.read_piece(file.name, 0, beginning_bytes)
        await self._fill(media_id, upload.user_id, _content(upload, file, beginning))

    async def is_awaited(self, media_id: str) -> bool:
        """Whether media is announced that has not come."""
        async with self._db.read() as tx:
            row = await self._store.find(tx, media_id)
        return row is not None and row.sha256 is None

    async def withdraw(self, media_id: str) -> None:
        """Forget an announcement, unless its upload has come."""

        async def recipe(tx: WriteTx) -> None:
            await self._store.delete_announced(tx, media_id)

        await self._db.write(recipe)

    async def _fill(self, media_id: str, user_id: UserId, content: Content) -> None:
        async def recipe(tx: WriteTx) -> str:
            self._check_awaited(await self._store.find(tx, media_id), user_id)
            await self._check_room(tx, user_id, content.file.size_bytes)
            return await self._store.fill(tx, media_id, content)

        await self._adopt(content.file, recipe)
        awaited = self._awaited.get(media_id)
        if awaited is not None:
            awaited.set()

    async def get(self, media_id: str, timeout_ms: int = 0) -> MediaRow:
        """Media with its content; raises NotFound, and NotYetUploaded when it does not come."""
        deadline = asyncio.get_running_loop().time() + timeout_ms / 1000
        awaited = self._awaited.get(media_id) or asyncio.Event()
        while True:
            async with self._db.read() as tx:
                row = await self._store.find(tx, media_id)
            if row is None or row.is_quarantined:
                raise NotFound("There is no such media")
            if row.sha256 is not None:
                self._note_use(row)
                return row
            if row.expires_ts is not None and row.expires_ts <= self._now_ms():
                raise NotFound("There is no such media")
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                raise NotYetUploaded("The content has not been uploaded yet")
            await self._await(media_id, awaited, min(left_s, POLL_S))

    async def read(self, stored_name: str, first: int, length: int) -> AsyncGenerator[bytes, None]:
        """Bytes of a file; raises NotFound when the file is gone."""
        try:
            return await self._files.read(stored_name, first, length)
        except NoFileError as error:
            raise NotFound("There is no such media") from error

    async def check_room(self, user_id: UserId, size_bytes: int) -> None:
        """Whether somebody may upload so much more; raises TooLarge and Forbidden."""
        if size_bytes > self.settings.upload_bytes_max:
            most = self.settings.upload_bytes_max
            raise TooLarge(f"An upload may be at most {most} bytes long")
        async with self._db.read() as tx:
            await self._check_room(tx, user_id, size_bytes)

    async def quarantine(self, media_id: str) -> bool:
        """Show media to nobody any more, and keep it; False if there is none."""
        return await self._set_quarantined(media_id, is_quarantined=True)

    async def release(self, media_id: str) -> bool:
        """Show media again; False if there is none."""
        return await self._set_quarantined(media_id, is_quarantined=False)

    async def note_uses(self) -> None:
        """Write down which media was used."""
        used, self._used = self._used, {}
        if used:

            async def recipe(tx: WriteTx) -> None:
                await self._store.touch(tx, used)

            await self._db.write(recipe)

    async def _set_quarantined(self, media_id: str, *, is_quarantined: bool) -> bool:
        async def recipe(tx: WriteTx) -> bool:
            return await self._store.set_quarantined(tx, media_id, is_quarantined=is_quarantined)

        return await self._db.write(recipe)

    async def _save(self, upload: Upload, chunks: AsyncIterator[bytes]) -> Content:
        beginning = bytearray()
        file = await self._files.save(_noting(chunks, beginning))
        return _content(upload, file, bytes(beginning))

    async def _adopt(self, file: StoredFile, recipe: Callable[[WriteTx], Awaitable[str]]) -> None:
        """Run a recipe that makes a file known; without it, or with one like it, the file goes."""
        try:
            name = await self._db.write(recipe)
        except BaseException:
            await self._files.delete(file.name)
            raise
        if name != file.name:
            await self._files.merge(file.name, into=name)

    async def _check_room(self, tx: ReadTx, user_id: UserId, size_bytes: int) -> None:
        most = self.settings.user_bytes_max
        if most and user_id and await self._store.bytes_of(tx, user_id) + size_bytes > most:
            raise Forbidden(f"You have used up the {most} bytes you may upload")

    def _check_awaited(self, row: MediaRow | None, user_id: UserId) -> None:
        if row is None:
            raise NotFound("There is no such media")
        if row.user_id != user_id:
            raise Forbidden("Somebody else has announced this upload")
        if row.sha256 is not None:
            raise CannotOverwriteMedia("This has been uploaded already")
        if row.expires_ts is not None and row.expires_ts <= self._now_ms():
            raise NotFound("This upload came too late")

    async def _await(self, media_id: str, awaited: asyncio.Event, timeout_s: float) -> None:
        self._awaited[media_id] = awaited
        try:
            async with asyncio.timeout(timeout_s):
                await awaited.wait()
        except TimeoutError:
            return
        finally:
            if self._awaited.get(media_id) is awaited:
                del self._awaited[media_id]

    def _note_use(self, row: MediaRow) -> None:
        now_ms = self._now_ms()
        if now_ms - row.used_ts >= USED_NOTED_MS and len(self._used) < USED_MAX:
            self._used[row.media_id] = now_ms


def _content(upload: Upload, file: StoredFile, beginning: bytes) -> Content:
    content_type = parse_content_type(upload.content_type, beginning)
    return Content(file, content_type, parse_file_name(upload.file_name))


async def _noting(chunks: AsyncIterator[bytes], beginning: bytearray) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if len(beginning) < BEGINNING_BYTES:
            beginning += chunk[:BEGINNING_BYTES]
        yield chunk
