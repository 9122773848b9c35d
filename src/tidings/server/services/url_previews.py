"""Previews of pages that are linked in messages.

The server fetches what any user names, so that pages do not learn who reads about them. Fetching
is `outgoing`'s, parsing happens in the decoding process; the picture becomes media.
Source: client-server API, "GET /_matrix/client/v1/media/preview_url".
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from weakref import WeakValueDictionary

import msgspec

from tidings.protocol.errors import InvalidParam, MatrixError, PageUnavailable
from tidings.protocol.ids import UserId
from tidings.rules.media_types import THUMBNAIL, essence_of
from tidings.rules.open_graph import Page
from tidings.server import config
from tidings.server.services.decoder import Decoder
from tidings.server.services.decoder_process import MeasureJob, PageJob
from tidings.server.services.media import Media, Upload
from tidings.server.services.outgoing import Fetched, Outgoing, OutgoingError, Sought, parse_url
from tidings.server.services.pictures import Picture
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.url_previews import UrlPreviewStore

NOBODY = UserId("")
"""Whose the pictures of previews are."""
_PAGES = ("text/html", "application/xhtml+xml")
_ACCEPT_PAGE = "text/html,application/xhtml+xml,image/*;q=0.8"
_encode = msgspec.json.Encoder().encode


class UrlPreviews:
    """Fetches previews, and keeps them for a while."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        store: UrlPreviewStore,
        media: Media,
        decoder: Decoder,
        outgoing: Outgoing,
        settings: config.Previews,
        server_name: str,
        clock: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._media = media
        self._decoder = decoder
        self._outgoing = outgoing
        self._settings = settings
        self._server_name = server_name
        self._now_ms = clock
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, text: str) -> bytes:
        """The preview as JSON; raises InvalidParam and PageUnavailable."""
        try:
            url = str(parse_url(text))
        except OutgoingError as error:
            raise InvalidParam(f"The url cannot be fetched: {error}") from error
        url_hash = sha256(url.encode()).hexdigest()
        turn = self._turns.setdefault(url_hash, asyncio.Lock())
        async with turn:  # whoever asks for the same meanwhile is given the same
            json = await self._find(url_hash)
            if json is None:
                json = await self._make(url)
                await self._keep(url_hash, json)
        if not json:
            raise PageUnavailable("The page cannot be shown")
        return json

    async def _find(self, url_hash: str) -> bytes | None:
        async with self._db.read() as tx:
            after_ms = self._now_ms() - self._settings.cache_ms
            return await self._store.find(tx, url_hash, after_ms)

    async def _keep(self, url_hash: str, json: bytes) -> None:
        async def recipe(tx: WriteTx) -> None:
            await self._store.save(tx, url_hash, json, self._now_ms())

        await self._db.write(recipe)

    async def _make(self, url: str) -> bytes:
        """The preview; empty where there is none, which is remembered as well."""
        try:
            fetched = await self._fetch(url, _ACCEPT_PAGE, self._most)
        except OutgoingError:
            return b""
        kind = essence_of(fetched.content_type)
        if kind.startswith("image/"):
            return _encode(await self._picture(fetched))
        if kind not in _PAGES:
            return b"{}"
        page = await self._parse(fetched)
        found = {**page.properties, **await self._picture_of(page, fetched.url)}
        return _encode(found)

    @property
    def _most(self) -> int:
        return max(self._settings.page_bytes_max, self._settings.image_bytes_max)

    async def _fetch(self, url: str, accept: str, bytes_max: int) -> Fetched:
        timeout_s = self._settings.timeout_ms / 1000
        return await self._outgoing.fetch(Sought(url, accept, bytes_max), timeout_s)

    async def _parse(self, fetched: Fetched) -> Page:
        data = fetched.body[: self._settings.page_bytes_max]
        async with self._decoder.turn() as run:
            reply = await run(PageJob(data, fetched.content_type))
        return reply if isinstance(reply, Page) else Page({})

    async def _picture_of(self, page: Page, base: str) -> dict[str, str | int]:
        if not page.image_url:
            return {}
        try:
            url = str(parse_url(page.image_url, parse_url(base)))
            return await self._picture(await self._fetch(url, "image/*", self._most))
        except OutgoingError:
            return {}

    async def _picture(self, fetched: Fetched) -> dict[str, str | int]:
        """What the preview says of a picture, which becomes media; nothing where there is none."""
        if not fetched.is_whole or len(fetched.body) > self._settings.image_bytes_max:
            return {}
        async with self._decoder.turn() as run:
            pixels_max = self._media.settings.thumbnail_pixels_max
            picture = await run(MeasureJob(fetched.body, pixels_max))
        if not isinstance(picture, Picture) or picture.content_type not in THUMBNAIL:
            return {}
        upload = Upload(NOBODY, picture.content_type, is_preview=True)
        try:
            media_id = await self._media.upload(upload, _once(fetched.body))
        except MatrixError:
            return {}
        return {
            "og:image": f"mxc://{self._server_name}/{media_id}",
            "og:image:type": picture.content_type,
            "og:image:width": picture.width,
            "og:image:height": picture.height,
            "matrix:image:size": len(fetched.body),
        }


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
