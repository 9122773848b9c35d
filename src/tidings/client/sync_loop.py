"""An endless sequence of sync answers: no gap, no repeat, whatever happens to the connection.

A token is saved only when the caller comes back for more, so an answer is lost by no crash; what
the server left out of a limited timeline is fetched before the answer is handed on.
"""

import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from itertools import takewhile

import msgspec

from tidings.client.backoff import ENDLESS_PATIENCE
from tidings.client.errors import ApiError
from tidings.client.history import PageQuery, load_page
from tidings.client.http import ANSWER_TIMEOUT_S, Http, QueryValue, Request, v3
from tidings.client.sync_response import JoinedRoom, Rooms, SyncResponse, Timeline
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId

_SEEN_MAX = 64


class Follow(msgspec.Struct, frozen=True):
    """What to follow, and from where."""

    since: str | None = None
    filter: JsonObject = {}
    """A filter of the spec; its `room.timeline` part also chooses what fills a gap."""
    set_presence: str = "online"
    """What following says of the person: a program that reads for them leaves them `offline`."""
    timeout_ms: int = 30_000
    gap_events_max: int = 10_000
    """A longer gap stays one: its timeline is handed on as `limited`."""
    save_since: Callable[[str], None] | None = None
    """Called with a token once everything before it has been dealt with."""


async def follow(http: Http, plan: Follow) -> AsyncGenerator[SyncResponse, None]:
    """Sync answers for ever; raises only what no waiting can mend (such as LoginNeeded)."""
    since, seen = plan.since, SeenEvents()
    while True:
        response = await http.call(_sync_request(plan, since), SyncResponse, ENDLESS_PATIENCE)
        if since is not None:
            response = await _complete(http, plan, since, response, seen)
        seen.note(response)
        yield response
        since = response.next_batch
        if plan.save_since:
            plan.save_since(since)


async def sync_once(http: Http, filter_: JsonObject | None = None) -> SyncResponse:
    """One initial sync, answered at once."""
    # COMPAT(Synapse): an initial answer is kept for two minutes and given again for the very same
    # request, so that a room joined meanwhile is not in it. The timeout, which is of no effect
    # here, makes the request another one.
    plan = Follow(filter=filter_ or {}, set_presence="offline", timeout_ms=secrets.randbelow(1000))
    return await http.call(_sync_request(plan, None), SyncResponse)


def _sync_request(plan: Follow, since: str | None) -> Request:
    query: dict[str, QueryValue] = {
        "timeout": plan.timeout_ms,
        "set_presence": plan.set_presence,
    }
    if since:
        query["since"] = since
    if plan.filter:
        query["filter"] = _json_text(plan.filter)
    wait_s = plan.timeout_ms / 1000 + ANSWER_TIMEOUT_S
    return Request("GET", v3("sync"), query, timeout_s=wait_s)


def _json_text(value: JsonObject) -> str:
    return msgspec.json.encode(value).decode()


class SeenEvents:
    """The latest event ids of each room, by which a gap's other end and repeats are known."""

    def __init__(self) -> None:
        self._rooms: dict[str, deque[object]] = {}

    def note(self, response: SyncResponse) -> None:
        """Remember what is about to be handed on."""
        for room_id, room in response.rooms.join.items():
            if room.timeline.events:
                latest = self._rooms.setdefault(room_id, deque(maxlen=_SEEN_MAX))
                latest.extend(event.get("event_id") for event in room.timeline.events)

    def has(self, room_id: str, event: JsonObject) -> bool:
        """Whether the event was handed on a short while ago."""
        return event.get("event_id") in self._rooms.get(room_id, ())

    def newer_than(self, room_id: str, chunk: list[JsonObject]) -> list[JsonObject]:
        """The events, newest first, up to one that was handed on."""
        return list(takewhile(lambda event: not self.has(room_id, event), chunk))


async def _complete(
    http: Http, plan: Follow, since: str, response: SyncResponse, seen: SeenEvents
) -> SyncResponse:
    """The same answer with gaps filled and repeats taken out."""
    joined: dict[str, JoinedRoom] = {}
    for room_id, room in response.rooms.join.items():
        timeline = room.timeline
        if timeline.limited and timeline.prev_batch:
            gap = PageQuery(
                RoomId(room_id), timeline.prev_batch, since, _timeline_filter(plan.filter)
            )
            missing = await _load_missing(http, gap, seen, plan.gap_events_max)
            timeline = missing.followed_by(timeline)
        fresh = [event for event in timeline.events if not seen.has(room_id, event)]
        timeline = msgspec.structs.replace(timeline, events=fresh)
        joined[room_id] = msgspec.structs.replace(room, timeline=timeline)
    old = response.rooms
    rooms = Rooms(join=joined, invite=old.invite, knock=old.knock, leave=old.leave)
    return msgspec.structs.replace(response, rooms=rooms)


def _timeline_filter(filter_: JsonObject) -> JsonObject:
    room = filter_.get("room")
    timeline = room.get("timeline") if isinstance(room, dict) else None
    if not isinstance(timeline, dict):
        return {}
    return {name: value for name, value in timeline.items() if name != "limit"}


class _Missing(msgspec.Struct, frozen=True):
    """What was found of a gap, oldest first; with `rest` there is more before it."""

    events: list[JsonObject]
    rest: str | None

    def followed_by(self, timeline: Timeline) -> Timeline:
        events = [*self.events, *timeline.events]
        prev_batch = self.rest or timeline.prev_batch
        return Timeline(events=events, limited=self.rest is not None, prev_batch=prev_batch)


async def _load_missing(http: Http, gap: PageQuery, seen: SeenEvents, events_max: int) -> _Missing:
    backwards: list[JsonObject] = []
    while len(backwards) < events_max:
        try:
            page = await load_page(http, gap, ENDLESS_PATIENCE)
        except ApiError:  # not ours to read any more: the gap stays, and shows
            break
        new = seen.newer_than(gap.room_id, page.chunk)
        backwards.extend(new)
        if len(new) < len(page.chunk) or page.end in {None, gap.from_token}:
            return _Missing(backwards[::-1], rest=None)
        gap = msgspec.structs.replace(gap, from_token=page.end)
    return _Missing(backwards[::-1], rest=gap.from_token)
