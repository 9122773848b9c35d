"""Thumbnails: made once, kept like any other file.

Source: client-server API, "Thumbnails".
"""

from collections.abc import AsyncIterator

import msgspec

from tidings.protocol.errors import NotFound, TooLarge, Unknown
from tidings.server.services.decoder import Decoder
from tidings.server.services.decoder_process import Refusal, Reply, ThumbnailJob
from tidings.server.services.pictures import SIDE_MAX, Picture, Wanted
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.files import FileStore, NoFileError, StoredFile
from tidings.server.storage.media import Content, MediaRow, MediaStore, ThumbnailRow

SOURCE_BYTES_MAX = 50 * 1024 * 1024
SHAPES_MAX = 32
"""Thumbnails kept of one picture: who asks for ever new sizes cannot fill the disk."""
STEP = 16
"""Sizes are rounded up to a multiple of this where the picture keeps its proportions."""


class Thumbnails:
    """Finds and makes thumbnails."""

    def __init__(self, db: Database, store: MediaStore, files: FileStore, decoder: Decoder) -> None:
        self._db = db
        self._store = store
        self._files = files
        self._decoder = decoder

    async def get(self, source: MediaRow, wanted: Wanted, pixels_max: int) -> ThumbnailRow:
        """A thumbnail of some media; raises TooLarge, and Unknown for what is no picture."""
        if source.sha256 is None or source.stored_name is None:
            raise NotFound("There is no such media")
        wanted = _rounded(wanted)
        found = await self._find(source.sha256, wanted)
        if found is not None:
            return found
        if source.size_bytes > SOURCE_BYTES_MAX:
            raise TooLarge("Content is too large to thumbnail")
        async with self._decoder.turn() as run:  # who had to wait may find the thumbnail made
            found = await self._find(source.sha256, wanted)
            if found is not None:
                return found
            data = await self._load(source.stored_name, source.size_bytes)
            picture = picture_of(await run(ThumbnailJob(data, wanted, pixels_max)))
            return await self._keep(source, wanted, picture)

    async def _find(self, source: str, wanted: Wanted) -> ThumbnailRow | None:
        async with self._db.read() as tx:
            return await self._store.find_thumbnail(tx, source, wanted.shape)

    async def _load(self, name: str, size: int) -> bytes:
        try:
            return await self._files.read_piece(name, 0, size)
        except NoFileError as error:
            raise NotFound("There is no such media") from error

    async def _keep(self, source: MediaRow, wanted: Wanted, picture: Picture) -> ThumbnailRow:
        if not picture.data:
            return await self._keep_original(source, wanted, picture)
        file = await self._files.save(_once(picture.data))
        content = Content(file, picture.content_type)

        async def recipe(tx: WriteTx) -> str:
            name = await self._store.adopt(tx, file)
            await self._insert(tx, source, wanted, content)
            return name

        try:
            name = await self._db.write(recipe)
        except BaseException:
            await self._files.delete(file.name)
            raise
        if name != file.name:
            await self._files.merge(file.name, into=name)
        return ThumbnailRow(file.sha256, file.size_bytes, picture.content_type, name)

    async def _keep_original(
        self, source: MediaRow, wanted: Wanted, picture: Picture
    ) -> ThumbnailRow:
        """Note that the picture is its own thumbnail; nothing is made known that may be going."""
        name, sha256 = source.stored_name or "", source.sha256 or ""
        content = Content(StoredFile(name, sha256, source.size_bytes), picture.content_type)

        async def recipe(tx: WriteTx) -> None:
            if await self._store.find(tx, source.media_id) is not None:
                await self._insert(tx, source, wanted, content)

        await self._db.write(recipe)
        return ThumbnailRow(sha256, source.size_bytes, picture.content_type, name)

    async def _insert(
        self, tx: WriteTx, source: MediaRow, wanted: Wanted, content: Content
    ) -> None:
        await self._store.limit_thumbnails(tx, source.sha256 or "", SHAPES_MAX)
        await self._store.insert_thumbnail(tx, source.sha256 or "", wanted.shape, content)


def picture_of(reply: Reply) -> Picture:
    """The picture in a reply; raises TooLarge, and Unknown where there is none to see."""
    if isinstance(reply, Refusal) and reply.is_too_large:
        raise TooLarge("Content is too large to thumbnail")
    if not isinstance(reply, Picture):
        raise Unknown("Cannot generate thumbnails for the requested content")
    return reply


def _rounded(wanted: Wanted) -> Wanted:
    """The same for all sizes that are answered alike."""
    if max(wanted.width, wanted.height) > SIDE_MAX:
        beyond = SIDE_MAX + 1
        return msgspec.structs.replace(wanted, width=beyond, height=beyond)
    if wanted.method == "crop":
        return wanted
    width, height = -(-wanted.width // STEP) * STEP, -(-wanted.height // STEP) * STEP
    return msgspec.structs.replace(wanted, width=width, height=height)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
