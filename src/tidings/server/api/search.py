"""Searching messages.

Source: client-server API, "Server Side Search".
"""

from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from tidings.protocol.errors import BadJson
from tidings.protocol.filters import RoomEventFilter, parse_room_event_filter
from tidings.rules.paging import END
from tidings.rules.search_documents import KEYS
from tidings.server.api.rooms_state import view_of
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.services.search_request import (
    Around,
    Mark,
    SearchRequest,
    parse_mark,
)
from tidings.server.services.search_results import SearchResults

LIMIT_DEFAULT = 10
LIMIT_MAX = 100
CONTEXT_MAX = 50
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _EventContext(msgspec.Struct, frozen=True):
    before_limit: _Count | None = None
    after_limit: _Count | None = None
    include_profile: bool | None = None


class _Grouping(msgspec.Struct, frozen=True):
    key: Literal["room_id", "sender"]


class _Groupings(msgspec.Struct, frozen=True):
    group_by: list[_Grouping] = []


class _RoomEvents(msgspec.Struct, frozen=True):
    search_term: str
    keys: list[Literal["content.body", "content.name", "content.topic"]] | None = None
    filter: object = None
    order_by: Literal["rank", "recent"] = "rank"
    event_context: _EventContext | None = None
    include_state: bool | None = None
    groupings: _Groupings | None = None


class _Categories(msgspec.Struct, frozen=True):
    room_events: _RoomEvents | None = None


class SearchBody(msgspec.Struct, frozen=True):
    """The body of POST /search."""

    search_categories: _Categories


def routes(results: SearchResults, now_ms: Callable[[], int]) -> list[Route]:
    """The endpoint of search."""

    async def search(request: Request) -> Response:
        asked = request.json(SearchBody).search_categories.room_events
        token = request.query.get("next_batch")
        mark = parse_mark(token) if token else Mark(END, now_ms())
        if asked is None:
            return Response(b'{"search_categories":{}}')
        wanted = _wanted(request, asked, mark)
        found = await results.answer(view_of(request, now_ms()), wanted)
        return Response(b'{"search_categories":{"room_events":%b}}' % found)

    return [Route("POST", f"{V3}/search", search)]


def _wanted(request: Request, asked: _RoomEvents, mark: Mark) -> SearchRequest:
    chosen = RoomEventFilter()
    if asked.filter is not None:
        chosen = parse_room_event_filter(asked.filter)
    keys = KEYS if asked.keys is None else asked.keys
    if not keys:
        raise BadJson("keys must name at least one key to search")
    grouping = asked.groupings or _Groupings()
    return SearchRequest(
        user_id=request.requester.user_id,
        search_term=asked.search_term,
        types=frozenset(KEYS[key] for key in keys),
        filter=chosen,
        limit=max(1, chosen.clamped_limit(LIMIT_DEFAULT, LIMIT_MAX)),
        order_by=asked.order_by,
        group_by=tuple(dict.fromkeys(group.key for group in grouping.group_by)),
        around=_around(asked.event_context),
        include_state=bool(asked.include_state),
        mark=mark,
    )


def _around(context: _EventContext | None) -> Around | None:
    if context is None:
        return None
    default = Around()
    before = default.before_limit if context.before_limit is None else context.before_limit
    after = default.after_limit if context.after_limit is None else context.after_limit
    return Around(min(before, CONTEXT_MAX), min(after, CONTEXT_MAX), bool(context.include_profile))
