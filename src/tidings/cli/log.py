"""Print the latest messages of a room, oldest first.

For example:
  tidings log '#dev' -n 50
  tidings log Dev --json | jq -r .body
"""

import argparse
from contextlib import aclosing

from tidings.cli.context import Context
from tidings.cli.exits import Exit
from tidings.cli.message_lines import MESSAGE_TYPES
from tidings.cli.message_printer import print_message
from tidings.cli.options import count, room_or_default
from tidings.client.history import PageQuery, walk_back
from tidings.client.http import Http
from tidings.client.room_lookup import resolve
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, server_name_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("room", nargs="?", metavar="ROOM", help="which room (else TIDINGS_ROOM)")
    parser.add_argument("-n", type=count, default=20, metavar="N", help="how many (20)")


async def run(context: Context) -> int:
    """Read back from the newest, print from the oldest."""
    room = room_or_default(context.options.room, context.environment)
    async with await context.connect() as http:
        room_id = await resolve(http, room)
        events = await _load_latest(http, room_id, context.options.n)
        own_server = server_name_of(http.user_id)
    for event in reversed(events):
        print_message(context, room_id, event, own_server)
    return Exit.OK


async def _load_latest(http: Http, room_id: RoomId, count_max: int) -> list[JsonObject]:
    query = PageQuery(room_id, filter={"types": MESSAGE_TYPES}, limit=min(count_max, 100))
    events: list[JsonObject] = []
    if count_max == 0:
        return events
    async with aclosing(walk_back(http, query)) as older:
        async for event in older:
            events.append(event)
            if len(events) == count_max:
                break
    return events
