"""Filters that clients have stored, and those they spell out in a query.

Source: client-server API, "Filtering".
"""

from base64 import urlsafe_b64encode
from collections import OrderedDict
from hashlib import sha256

import msgspec

from tidings.protocol.errors import InvalidParam, NotFound, NotJson
from tidings.protocol.events import JsonObject
from tidings.protocol.filters import Filter, parse_filter
from tidings.protocol.ids import UserId
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.filters import FilterStore

PARSED_MAX = 2_000
"""Filters kept parsed; beyond it the longest unused go."""

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode


class Filters:
    """Keeps filters, and parses each of those in use once."""

    def __init__(self, db: Database, store: FilterStore) -> None:
        self._db = db
        self._store = store
        self._parsed: OrderedDict[tuple[str, str], Filter] = OrderedDict()

    async def create(self, user_id: UserId, definition: JsonObject) -> str:
        """Store a filter; the same definition has the same id. Raises BadJson."""
        parse_filter(definition)
        json = _encode(definition)
        filter_id = urlsafe_b64encode(sha256(json).digest()[:9]).decode()

        async def recipe(tx: WriteTx) -> None:
            await self._store.insert(tx, user_id, filter_id, json)

        await self._db.write(recipe)
        return filter_id

    async def get(self, user_id: UserId, filter_id: str) -> bytes:
        """The definition that a user has stored; raises NotFound."""
        async with self._db.read() as tx:
            json = await self._store.find(tx, user_id, filter_id)
        if json is None:
            raise NotFound("Unknown filter")
        return json

    def held(self, user_id: UserId, text: str) -> Filter | None:
        """The filter, if it is in memory."""
        return self._parsed.get(("" if text.startswith("{") else user_id, text))

    async def resolve(self, user_id: UserId, text: str) -> Filter:
        """The filter a query names, or spells out beginning with a brace."""
        is_inline = text.startswith("{")
        key = ("" if is_inline else user_id, text)
        known = self._parsed.get(key)
        if known is not None:
            self._parsed.move_to_end(key)
            return known
        parsed = _parse(text) if is_inline else await self._load(user_id, text)
        self._parsed[key] = parsed
        if len(self._parsed) > PARSED_MAX:
            self._parsed.popitem(last=False)
        return parsed

    async def _load(self, user_id: UserId, filter_id: str) -> Filter:
        try:
            return parse_filter(_decode(await self.get(user_id, filter_id)))
        except NotFound:
            raise InvalidParam("There is no such filter") from None


def _parse(text: str) -> Filter:
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise NotJson(f"The filter is not JSON: {error}") from error
    return parse_filter(value)
