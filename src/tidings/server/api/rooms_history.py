"""A room's history: events, context, pages, the event at a time."""

from collections.abc import Callable

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, MissingParam, NotJson
from tidings.protocol.filters import MESSAGES_LIMIT_MAX, RoomEventFilter, parse_room_event_filter
from tidings.protocol.ids import EventId, RoomId
from tidings.protocol.tokens import parse_token
from tidings.rules.paging import END
from tidings.server.api.rooms_state import view_of
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.history import History
from tidings.server.services.pages import Wanted

V1 = "/_matrix/client/v1"
CONTEXT_LIMIT_MAX = 100


def routes(history: History, now_ms: Callable[[], int]) -> list[Route]:
    """Reading what was said."""

    async def messages(request: Request) -> Response:
        room_id = RoomId(request.params["room_id"])
        wanted = _wanted(request)
        return Response(await history.messages(view_of(request, now_ms()), room_id, wanted))

    async def event(request: Request) -> Response:
        room_id, event_id = RoomId(request.params["room_id"]), EventId(request.params["event_id"])
        return Response(await history.event(view_of(request, now_ms()), room_id, event_id))

    async def context(request: Request) -> Response:
        room_id, event_id = RoomId(request.params["room_id"]), EventId(request.params["event_id"])
        limit = request.query_int("limit", 10, most=CONTEXT_LIMIT_MAX)
        wanted = Wanted(backwards=True, limit=limit, filter=_filter(request))
        view = view_of(request, now_ms())
        return Response(await history.context(view, room_id, event_id, wanted))

    async def timestamp_to_event(request: Request) -> Response:
        request.query_needed("ts")
        event_id, ts = await history.nearest(
            request.requester.user_id,
            RoomId(request.params["room_id"]),
            request.query_int("ts", 0),
            backwards=is_backwards(request, None),
        )
        return json_response({"event_id": event_id, "origin_server_ts": ts})

    async def initial_sync(_: Request) -> Response:
        # COMPAT(clients that preview rooms by it): deprecated; they take a refusal for an answer.
        raise Forbidden("Rooms are not previewed here; join the room, or read its state")

    room = f"{V3}/rooms/{{room_id}}"
    return [
        Route("GET", f"{room}/messages", messages, auth="guest"),
        Route("GET", f"{room}/event/{{event_id}}", event, auth="guest"),
        Route("GET", f"{room}/context/{{event_id}}", context, auth="guest"),
        Route("GET", f"{room}/initialSync", initial_sync, auth="guest"),
        Route("GET", f"{V1}/rooms/{{room_id}}/timestamp_to_event", timestamp_to_event),
    ]


def is_backwards(request: Request, default: str | None) -> bool:
    """The direction that `dir` names; raises MissingParam or InvalidParam."""
    direction = request.query.get("dir", default)
    if direction is None:
        raise MissingParam("The query parameter dir is missing")
    if direction not in ("b", "f"):
        raise InvalidParam("dir must be b or f")
    return direction == "b"


def bounds(request: Request, *, backwards: bool) -> tuple[int, int]:
    """The positions between `from` and `to`, neither included."""
    start, stop = request.query.get("from"), request.query.get("to")
    begin = parse_token(start) if start else None
    end = parse_token(stop) if stop else None
    if backwards:
        return -1 if end is None else end, END if begin is None else begin + 1
    return -1 if begin is None else begin, END if end is None else end + 1


def _wanted(request: Request) -> Wanted:
    backwards = is_backwards(request, None)
    after, before = bounds(request, backwards=backwards)
    limit = request.query_int("limit", 10, most=MESSAGES_LIMIT_MAX)
    chosen = _filter(request)
    if chosen.limit is not None:
        limit = min(limit, chosen.limit)
    return Wanted(after=after, before=before, backwards=backwards, limit=limit, filter=chosen)


def _filter(request: Request) -> RoomEventFilter:
    text = request.query.get("filter")
    if not text:
        return RoomEventFilter()
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotJson("filter is not JSON") from error
    return parse_room_event_filter(value)
