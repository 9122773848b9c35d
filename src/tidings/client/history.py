"""Reading a room's past, newest first.

Source: client-server API, "GET /rooms/{roomId}/messages".
"""

from collections.abc import AsyncGenerator

import msgspec

from tidings.client.backoff import Patience
from tidings.client.http import Http, QueryValue, Request, v3
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId


class Page(msgspec.Struct, frozen=True):
    """A page of events, newest first; without `end` there is nothing older."""

    chunk: list[JsonObject] = []
    end: str | None = None


class PageQuery(msgspec.Struct, frozen=True):
    """Which page; without `from_token` the newest."""

    room_id: RoomId
    from_token: str | None = None
    to_token: str | None = None
    filter: JsonObject = {}
    limit: int = 100

    def as_request(self) -> Request:
        """The call of the API."""
        query: dict[str, QueryValue] = {"dir": "b", "limit": self.limit}
        if self.from_token:
            query["from"] = self.from_token
        if self.to_token:
            query["to"] = self.to_token
        if self.filter:
            query["filter"] = msgspec.json.encode(self.filter).decode()
        return Request("GET", v3("rooms", self.room_id, "messages"), query)


async def load_page(http: Http, query: PageQuery, patience: Patience | None = None) -> Page:
    """One page."""
    return await http.call(query.as_request(), Page, patience)


async def walk_back(http: Http, query: PageQuery) -> AsyncGenerator[JsonObject, None]:
    """Events backwards from the query's start, page after page, as far as one cares to go."""
    while True:
        page = await load_page(http, query)
        for event in page.chunk:
            yield event
        if page.end is None or page.end == query.from_token:
            return
        query = msgspec.structs.replace(query, from_token=page.end)


async def get_event(http: Http, room_id: RoomId, event_id: str) -> JsonObject:
    """One event; raises NotFound when there is none, or none we may see."""
    return await http.get(v3("rooms", room_id, "event", event_id), JsonObject)
