"""Does an incremental sync cost more where more exists? 10 against 1,000 rooms and members.

In each setting one message has come since the reader's position; the same sync is
then asked for again and again. `queries_*` is what one of them adds to the server's own
running count, which the header `x-tidings-queries` tells where there is one. A second run with the same --state file, on a
server that was restarted in between, first syncs from the positions of the run before:
`cold_queries_*`, what a sync costs that memory cannot answer.
"""

import asyncio
import http.client
from argparse import Namespace

from .client import Homeserver, User, limited
from .ledger import RoomLedger
from .scenarios import Figures, new_run, per_unit, scenario

SETTINGS = ("rooms_few", "rooms_many", "members_few", "members_many")


@scenario("growth")
async def growth(server: Homeserver, options: Namespace) -> Figures:
    """Syncs of one new message, with few and many rooms, few and many members."""
    few, rooms, members = 10, options.rooms or 1000, options.members or 1000
    places = await _places(server, few, rooms, members)
    figures: Figures = {"rooms": rooms, "members": members, "few": few}
    kept = server.state.setdefault("growth", {})
    wrong = 0
    for setting in SETTINGS:
        if setting in kept:
            _, reader, _ = places[setting]
            figures[f"cold_queries_{setting}"] = await _queries(server, reader, kept[setting])
    run, repeat = new_run(options), max(options.repeat, 1000)
    whole = server.window()
    for setting in SETTINGS:
        sender, reader, room_id = places[setting]
        await server.catch_up([reader])
        kept[setting] = since = reader.since
        ledger = RoomLedger(f"{run}{setting}", room_id, [reader.user_id], options.padding)
        wrong += await server.send_numbered(sender, ledger, f"{run}{setting}") is None
        replies = []
        window = server.window()
        for index in range(repeat):
            reader.since = since
            # Never the same question twice running: some servers keep whole answers.
            replies.append(await server.sync(reader, timeline_limit=10 + index % 40))
        window.stop()
        per_unit(figures, window, f"sync_{setting}", repeat)
        figures[f"queries_{setting}"] = await _queries(server, reader, since)
        (event_id,) = ledger.accepted.values()
        wrong += sum(_seen(reply.data, room_id) != [event_id] for reply in replies)
    whole.stop()
    server.save()
    return figures | {"window": whole, "check": {"wrong": wrong, "ok": wrong == 0}}


def _seen(answer: dict, room_id: str) -> list[str]:
    joined = answer.get("rooms", {}).get("join", {})
    if list(joined) != [room_id]:
        return []
    return [event["event_id"] for event in joined[room_id]["timeline"]["events"]]


async def _places(
    server: Homeserver, few: int, rooms: int, members: int
) -> dict[str, tuple[User, User, str]]:
    """For each setting: who sends, who reads, and in which room."""
    seed = server.options.seed
    sender, modest, busy = await server.users(f"growth{seed}", 3)
    crowd = await server.users(f"crowd{seed}", members)
    modest_rooms = await limited(
        4, (server.room(f"growth{seed}-few-{i}", [sender, modest]) for i in range(few))
    )
    busy_rooms = await limited(
        4, (server.room(f"growth{seed}-many-{i}", [sender, busy]) for i in range(rooms))
    )
    small = await server.room(f"growth{seed}-small", crowd[:few])
    large = await server.room(f"growth{seed}-large", crowd[few:])
    return {
        "rooms_few": (sender, modest, modest_rooms[0]),
        "rooms_many": (sender, busy, busy_rooms[0]),
        "members_few": (crowd[0], crowd[1], small),
        "members_many": (crowd[few], crowd[few + 1], large),
    }


async def _queries(server: Homeserver, user: User, since: str) -> int | None:
    """How many queries the server says this sync took."""

    def count() -> int | None:
        connection.request("GET", "/_matrix/client/versions")
        answer = connection.getresponse()
        answer.read()
        told = answer.headers.get("x-tidings-queries")
        return int(told) if told is not None else None

    connection = http.client.HTTPConnection(server.target.host, server.target.port)
    before = await asyncio.to_thread(count)
    place = User(user.user_id, user.token, user.name, user.password, since=since)
    await server.sync(place)
    after = await asyncio.to_thread(count)
    connection.close()
    return after - before if before is not None and after is not None else None
