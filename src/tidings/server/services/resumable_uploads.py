"""Uploads of large files in parts, which go on after a lost connection or a restart.

An upload is a piece of media that is announced at its beginning and filled at its end. What has
come is noted in the database every few megabytes, after the disk has it: whatever happens,
everything up to the noted offset is there, and what lies beyond it is sent again.
Source: tus 1.0.0 (https://tus.io/protocols/resumable-upload).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from tidings.protocol.errors import (
    BodyCutShort,
    CannotOverwriteMedia,
    InvalidParam,
    NotFound,
    OffsetMismatch,
    TooLarge,
    UploadLocked,
)
from tidings.protocol.ids import UserId
from tidings.server.services.media import Media, Upload
from tidings.server.services.tokens import new_media_id
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.files import FileStore, NoFileError
from tidings.server.storage.resumable_uploads import ResumableRow, ResumableStore

STEP_BYTES = 8 * 1024 * 1024
"""After so much the offset is noted: the most that is sent twice."""


class ResumableUploads:
    """Takes files part by part."""

    def __init__(
        self,
        db: Database,
        store: ResumableStore,
        files: FileStore,
        media: Media,
        clock: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._files = files
        self._media = media
        self._now_ms = clock
        self._busy: set[str] = set()

    @property
    def bytes_max(self) -> int:
        """The largest file."""
        return self._media.settings.resumable_bytes_max

    async def begin(self, upload: Upload) -> ResumableRow:
        """Begin an upload; raises TooLarge, Forbidden beyond the quota, and LimitExceeded."""
        size = upload.declared_bytes or 0
        if size > self.bytes_max:
            raise TooLarge(f"An upload in parts may be at most {self.bytes_max} bytes long")
        new = await self._media.announce(upload.user_id, size)
        row = ResumableRow(
            new_media_id(), upload.user_id, size, 0, upload.content_type or "", upload.file_name,
            new.media_id, new.expires_ts or 0,
        )  # fmt: skip

        async def recipe(tx: WriteTx) -> None:
            await self._store.insert(tx, row, new.now_ms)

        await self._db.write(recipe)
        if size == 0:
            await self._complete(row)
        return row

    async def get(self, upload_id: str, user_id: UserId) -> ResumableRow:
        """How far an upload has come; raises NotFound, also for others' uploads."""
        async with self._db.read() as tx:
            row = await self._store.find(tx, upload_id)
        if row is None or row.user_id != user_id or row.expires_ts <= self._now_ms():
            raise NotFound("There is no such upload")
        if row.offset_bytes == row.size_bytes and upload_id not in self._busy:
            await self._complete(row)  # unless it is; a crash may have come in between
        return row

    async def append(self, row: ResumableRow, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Take a part; the new offset. What has come of a part that is cut short is kept."""
        if row.upload_id in self._busy:
            raise UploadLocked("Another part of this upload is just coming")
        if offset != row.offset_bytes:
            raise OffsetMismatch(f"The upload is at {row.offset_bytes}, not at {offset}")
        if offset == row.size_bytes:
            return offset
        self._busy.add(row.upload_id)
        try:
            offset = await self._take(row, chunks)
            if offset == row.size_bytes:
                await self._complete(row)
            return offset
        except NoFileError as error:
            raise NotFound("What has come of this upload is lost; begin again") from error
        finally:
            self._busy.discard(row.upload_id)

    async def drop(self, row: ResumableRow) -> None:
        """End an upload that is not wanted any more."""
        if row.upload_id in self._busy:
            raise UploadLocked("A part of this upload is just coming")

        async def recipe(tx: WriteTx) -> None:
            await self._store.delete(tx, row.upload_id)

        await self._db.write(recipe)
        await self._files.delete_part(row.upload_id)
        await self._media.withdraw(row.media_id)

    async def _take(self, row: ResumableRow, chunks: AsyncIterator[bytes]) -> int:
        offset, left = row.offset_bytes, row.size_bytes - row.offset_bytes
        bounded = _bounded(chunks, left)
        while True:
            try:
                size = await self._files.append(row.upload_id, offset, _first(bounded, STEP_BYTES))
            except BodyCutShort:
                await self._note(row, offset, await self._files.part_bytes(row.upload_id))
                raise
            if size == offset:
                return offset
            await self._note(row, offset, size)
            offset = size

    async def _note(self, row: ResumableRow, offset: int, to: int) -> None:
        async def recipe(tx: WriteTx) -> None:
            if not await self._store.move(tx, row.upload_id, offset, to):
                raise OffsetMismatch("Another part of this upload has come meanwhile")

        await self._db.write(recipe)

    async def _complete(self, row: ResumableRow) -> None:
        """Make the media that was announced of what has come; nothing if that is done."""
        if not await self._media.is_awaited(row.media_id):
            return
        upload = Upload(row.user_id, row.content_type or None, row.file_name)
        with suppress(CannotOverwriteMedia):  # done by another request, just now
            await self._media.fill_with_part(row.media_id, upload, row.upload_id)
        await self._files.delete_part(row.upload_id)


async def _bounded(chunks: AsyncIterator[bytes], left: int) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise InvalidParam("This is more than the upload was said to have")
        yield chunk


async def _first(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """About so many bytes; what is left can be taken later."""
    async for chunk in chunks:
        yield chunk
        most -= len(chunk)
        if most <= 0:
            return
