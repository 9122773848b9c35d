"""Print messages as they come: first the latest ones, then every new one, until interrupted.

Nothing is lost or printed twice when the connection breaks or the server restarts. With --resume
that also holds between runs: the next one begins where this one ended.

For example:
  tidings tail '#dev'
  tidings tail -n 0 Dev Ops --json | jq -r .body
  tidings tail '#alerts' --resume --json >> alerts.ndjson
"""

import argparse
import hashlib
from contextlib import aclosing

import msgspec

from tidings.cli.context import Context
from tidings.cli.exits import Exit
from tidings.cli.message_lines import MESSAGE_TYPES
from tidings.cli.message_printer import print_message
from tidings.cli.options import count, room_or_default
from tidings.client.errors import not_found
from tidings.client.history import PageQuery, walk_back
from tidings.client.http import Http
from tidings.client.room_lookup import resolve
from tidings.client.rooms import load_joined
from tidings.client.store import Cursor
from tidings.client.sync_loop import Follow, follow, sync_once
from tidings.client.sync_response import JoinedRoom, SyncResponse, Timeline
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, server_name_of

_LIVE_LIMIT = 50
_LIVE_TYPES = [*MESSAGE_TYPES, "m.room.member"]
"""With members, or a server would not tell that we are out: our leaving is such an event."""


class Tail(msgspec.Struct, frozen=True):
    """What is being followed."""

    http: Http
    context: Context
    labels: dict[RoomId, str]
    """The rooms by id, with what the person called them."""

    @property
    def own_server(self) -> str:
        """The part of ids that goes without saying."""
        return server_name_of(self.http.user_id)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help="which rooms (else TIDINGS_ROOM)")
    parser.add_argument("-n", type=count, default=10, metavar="N", help="how many old ones (10)")
    parser.add_argument(
        "-f",
        "--follow",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="go on with new ones (the default)",
    )
    parser.add_argument("--resume", action="store_true", help="go on where the last run ended")


async def run(context: Context) -> int:
    """The latest, then the new ones for ever."""
    named = context.options.rooms or [room_or_default(None, context.environment)]
    async with await context.connect() as http:
        labels = {await resolve(http, room): room for room in named}
        tail = Tail(http, context, labels)
        cursor = _cursor(tail) if context.options.resume else None
        since = (cursor.find() if cursor else None) or await _print_latest(tail)
        if cursor:
            cursor.save(since)
        if context.options.follow:
            await _print_new(tail, since, cursor)
    return Exit.OK


def _cursor(tail: Tail) -> Cursor:
    rooms = hashlib.sha256("\n".join(sorted(tail.labels)).encode()).hexdigest()[:16]
    return Cursor(tail.context.session.places, tail.http.user_id, f"tail-{rooms}")


def _filter(tail: Tail, types: list[object], limit: int) -> JsonObject:
    return {
        "presence": {"types": []},
        "account_data": {"types": []},
        "room": {
            "rooms": list(tail.labels),
            "timeline": {"types": types, "limit": limit},
            "state": {"types": []},
            "ephemeral": {"types": []},
            "account_data": {"types": []},
        },
    }


async def _print_latest(tail: Tail) -> str:
    """The last messages of all rooms by time; the result is the token where the new ones begin."""
    wanted = tail.context.options.n
    await _check_rooms(tail)
    first = await sync_once(tail.http, _filter(tail, MESSAGE_TYPES, max(min(wanted, 100), 1)))
    latest: list[tuple[RoomId, JsonObject]] = []
    for room_id in tail.labels:
        timeline = first.rooms.join.get(room_id, JoinedRoom()).timeline
        events = await _with_older(tail, room_id, timeline, wanted) if wanted else []
        latest.extend((room_id, event) for event in events)
    latest.sort(key=lambda entry: _time(entry[1]))
    for room_id, event in latest:
        _print(tail, room_id, event)
    tail.context.output.flush()
    return first.next_batch


async def _check_rooms(tail: Tail) -> None:
    joined = await load_joined(tail.http)
    for room_id, label in tail.labels.items():
        if room_id not in joined:
            raise not_found(f"you are not in {label}", f"join it first: tidings room join {label}")


async def _with_older(
    tail: Tail, room_id: RoomId, timeline: Timeline, wanted: int
) -> list[JsonObject]:
    """The timeline, grown backwards when the server gave less than there is."""
    events = timeline.events[-wanted:]
    if len(events) == wanted or not (timeline.limited and timeline.prev_batch):
        return events
    query = PageQuery(room_id, timeline.prev_batch, filter={"types": MESSAGE_TYPES})
    async with aclosing(walk_back(tail.http, query)) as older:
        async for event in older:
            events.insert(0, event)
            if len(events) == wanted:
                break
    return events


def _time(event: JsonObject) -> int:
    timestamp = event.get("origin_server_ts")
    return timestamp if isinstance(timestamp, int) else 0


async def _print_new(tail: Tail, since: str, cursor: Cursor | None) -> None:
    plan = Follow(
        since=since,
        filter=_filter(tail, _LIVE_TYPES, _LIVE_LIMIT),
        set_presence="offline",
        save_since=cursor.save if cursor else None,
    )
    left: set[str] = set()
    async with aclosing(follow(tail.http, plan)) as responses:
        async for response in responses:
            tail.context.tell_connected()
            _print_response(tail, response)
            left = (left | set(response.rooms.leave)) - set(response.rooms.join)
            if left >= set(tail.labels):
                raise not_found("you are no longer in any of these rooms")


def _print_response(tail: Tail, response: SyncResponse) -> None:
    for room_id, label in tail.labels.items():
        if joined := response.rooms.join.get(room_id):
            _print_timeline(tail, room_id, joined.timeline)
        if left := response.rooms.leave.get(room_id):
            _print_timeline(tail, room_id, left.timeline)
            tail.context.output.note(f"you are no longer in {label}")
    tail.context.output.flush()


def _print_timeline(tail: Tail, room_id: RoomId, timeline: Timeline) -> None:
    if timeline.limited:
        label = tail.labels[room_id]
        tail.context.output.note(f"there is more in {label} than could be fetched; see the log")
    for event in timeline.events:
        if event.get("type") in MESSAGE_TYPES:
            _print(tail, room_id, event)


def _print(tail: Tail, room_id: RoomId, event: JsonObject) -> None:
    label = f"[{tail.labels[room_id]}]" if len(tail.labels) > 1 else ""
    print_message(tail.context, room_id, event, tail.own_server, label)
