"""The scenarios. Each prepares its own rooms, measures one window, then checks what was received."""

import asyncio
import hashlib
import os
import random
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

import orjson

from .client import V3, Homeserver, Receivers, User, limited
from .ledger import RoomLedger, verdict

Figures = dict[str, Any]
Scenario = Callable[[Homeserver, Namespace], Awaitable[Figures]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    def add(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return add


def percentiles(prefix: str, seconds: Sequence[float]) -> Figures:
    """p50, p95, p99 and the maximum, in milliseconds."""
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    figures = {
        f"{prefix}_p{p}_ms": round(ordered[min(last, int(len(ordered) * p / 100))] * 1000, 2)
        for p in (50, 95, 99)
    }
    return figures | {f"{prefix}_max_ms": round(ordered[-1] * 1000, 2)}


def new_run(options: Namespace) -> str:
    return f"{options.seed}{int(time.time() * 1000):x}"


def per_unit(figures: Figures, window: Any, what: str, count: int) -> None:
    """Server CPU for one unit of work."""
    if window.tree and count:
        figures[f"server_cpu_ms_per_{what}"] = round(window.server * 1000 / count, 3)


async def _send_until(
    server: Homeserver,
    run: str,
    plan: list[tuple[User, list[RoomLedger]]],
    options: Namespace,
    latencies: list[float],
) -> int:
    """Senders work their rooms till the time or the number of messages is used up.

    Each sender waits for one answer before its next message. With a rate, the
    senders share it evenly; without one they go as fast as the server answers.
    Returns how many messages were not accepted.
    """
    failed = 0
    begun = time.perf_counter()
    until = begun + options.duration
    left = options.messages or None

    async def one(index: int, user: User, ledgers: list[RoomLedger]) -> None:
        nonlocal failed, left
        pick = random.Random(f"{options.seed}-{user.name}")
        interval = len(plan) / options.rate if options.rate else 0.0
        due = begun + interval * index / len(plan)
        while True:
            if left is None:
                if time.perf_counter() >= until or (interval and due >= until):
                    return
            elif left <= 0:
                return
            else:
                left -= 1
            if interval:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                due += interval
            ledger = ledgers[0] if len(ledgers) == 1 else pick.choice(ledgers)
            latency = await server.send_numbered(user, ledger, run)
            if latency is None:
                failed += 1
            else:
                latencies.append(latency)

    await asyncio.gather(*(one(i, user, ledgers) for i, (user, ledgers) in enumerate(plan)))
    return failed


@scenario("send")
async def send(server: Homeserver, options: Namespace) -> Figures:
    """U users in R rooms, C of them sending as fast as they are answered; nobody is syncing."""
    count, rooms = options.users or 50, options.rooms or 10
    users = await server.users(f"send{options.seed}", count)
    run = new_run(options)
    groups = [users[index::rooms] for index in range(rooms)]
    ledgers = [
        RoomLedger(
            run,
            await server.room(f"send{options.seed}-{rooms}-{count}-{index}", group),
            [user.user_id for user in group],
            options.padding,
        )
        for index, group in enumerate(groups)
    ]
    await server.catch_up(users)
    senders = [
        (users[i], [ledgers[i % rooms]]) for i in range(min(options.concurrency or 10, count))
    ]
    latencies: list[float] = []
    begun_at = time.time()
    window = server.window()
    failed = await _send_until(server, run, senders, options, latencies)
    window.stop()
    figures: Figures = {
        "users": count,
        "rooms": rooms,
        "concurrency": len(senders),
        "messages": len(latencies),
        "messages_per_s": round(len(latencies) / window.wall, 1),
        **percentiles("send", latencies),
    }
    per_unit(figures, window, "message", len(latencies))

    async def read_back(user: User, ledger: RoomLedger) -> None:
        """What the member's next sync shows, gaps filled."""
        view = ledger.views[user.user_id]
        since = user.since
        joined = (await server.sync(user, timeline_limit=options.timeline_limit)).data["rooms"][
            "join"
        ]
        room = joined[ledger.room_id]
        events = room["timeline"]["events"]
        if room["timeline"].get("limited"):
            missing = await server.fill_gap(user, ledger, view, room, since, begun_at - 60)
            events = missing + events
        for event in events:
            if event["type"] == "m.room.message":
                ledger.observe(view, event, None)

    await limited(
        4,
        (
            read_back(user, ledger)
            for group, ledger in zip(groups, ledgers)
            if ledger.accepted
            for user in group
        ),
    )
    return figures | {"window": window, "check": verdict(ledgers, failed)}


async def _deliver(
    server: Homeserver,
    options: Namespace,
    users: list[User],
    ledgers: list[RoomLedger],
    senders: list[tuple[User, list[RoomLedger]]],
    run: str,
) -> Figures:
    await server.catch_up(users)
    receivers = Receivers(server, ledgers)
    await receivers.start(users)
    await asyncio.sleep(options.settle)
    before = server.counters.snapshot()
    polls_before = receivers.polls
    sends: list[float] = []
    begun = time.perf_counter()
    window = server.window()
    failed = await _send_until(server, run, senders, options, sends)
    sending = time.perf_counter() - begun
    await receivers.drain(options.drain_patience)
    window.stop()
    after = server.counters.snapshot()
    receivers.stop()
    received = sum(ledger.received for ledger in ledgers)
    latencies = [value for ledger in ledgers for value in ledger.latencies]
    ended = max((ledger.last_seen_at for ledger in ledgers), default=0.0)
    active = max(ended - begun, 1e-9)
    figures: Figures = {
        "messages": len(sends),
        "messages_per_s": round(len(sends) / sending, 1),
        "deliveries": received,
        "deliveries_per_s": round(received / active, 1),
        **percentiles("delivery", latencies),
        **percentiles("send", sends),
        "polls": receivers.polls - polls_before,
        "gaps_filled": receivers.gaps,
        "mb_received": round((after["bytes_in"] - before["bytes_in"]) / 1e6, 2),
    }
    if options.rate:
        figures["target_rate"] = options.rate
        figures["kept_up"] = (
            len(sends) / sending > 0.95 * options.rate and active < sending * 1.1 + 1
        )
    per_unit(figures, window, "message", len(sends))
    per_unit(figures, window, "delivery", received)
    check = verdict(ledgers, failed)
    check["sync_failures"] = receivers.failures
    check["reconnects"] = receivers.reconnects
    return figures | {"window": window, "check": check}


@scenario("deliver")
async def deliver(server: Homeserver, options: Namespace) -> Figures:
    """N members of one room all long-polling; from the start of the send to each member's /sync."""
    count = options.members or 100
    users = await server.users(f"deliver{options.seed}", count)
    run = new_run(options)
    room_id = await server.room(f"deliver{options.seed}-{count}", users)
    ledger = RoomLedger(run, room_id, [user.user_id for user in users], options.padding)
    senders = [(user, [ledger]) for user in users[: options.concurrency or 1]]
    figures = await _deliver(server, options, users, [ledger], senders, run)
    return {"members": count, "senders": len(senders)} | figures


@scenario("many-rooms")
async def many_rooms(server: Homeserver, options: Namespace) -> Figures:
    """M rooms of ten members each, messages scattered over them, every member long-polling."""
    rooms = options.rooms or 100
    members = options.members or 10
    count = max(members, options.users or rooms)
    users = await server.users(f"rooms{options.seed}", count)
    run = new_run(options)
    pick = random.Random(options.seed)
    ledgers, of_user = [], {user.user_id: [] for user in users}
    for index in range(rooms):
        group = pick.sample(users, members)
        room_id = await server.room(f"rooms{options.seed}-{rooms}-{members}-{count}-{index}", group)
        ledger = RoomLedger(run, room_id, [user.user_id for user in group], options.padding)
        ledgers.append(ledger)
        for user in group:
            of_user[user.user_id].append(ledger)
    active = [user for user in users if of_user[user.user_id]]
    senders = [(user, of_user[user.user_id]) for user in active[: options.concurrency or 20]]
    figures = await _deliver(server, options, active, ledgers, senders, run)
    return {
        "rooms": rooms,
        "members": members,
        "users": len(active),
        "senders": len(senders),
    } | figures


async def _filled_room(
    server: Homeserver, key: str, members: list[User], messages: int, padding: int
) -> RoomLedger:
    """A room holding that many numbered messages, reused where the state file has it.

    What it returns knows how to recognise them; who has read them is not entered.
    """
    room_id = await server.room(key, members)
    known = server.state["rooms"][key]
    run = known.setdefault("run", f"fill{key}")
    writers = members[:8]
    ledger = RoomLedger(run, room_id, [], padding)
    if known.get("filled") != messages:

        async def one(user: User, share: int) -> None:
            for _ in range(share):
                if await server.send_numbered(user, ledger, run) is None:
                    raise RuntimeError("a message to fill the room with was not accepted")

        shares = [
            messages // len(writers) + (index < messages % len(writers))
            for index in range(len(writers))
        ]
        await asyncio.gather(*(one(user, share) for user, share in zip(writers, shares)))
        known["filled"] = messages
        server.save()
    return ledger


def _backwards(ledger: RoomLedger, events: list[dict]) -> tuple[int, int]:
    """(messages of the run, breaches of newest-first order or repetitions) in a list of events."""
    lowest: dict[str, int] = {}
    seen = wrong = 0
    for event in events:
        body = event.get("content", {}).get("body", "")
        if event["type"] != "m.room.message" or not body.startswith(ledger.mark):
            continue
        _, sender, number, padding = body.split("|", 3)
        seen += 1
        if padding != ledger.padding or event["sender"] != sender:
            wrong += 1
        if sender in lowest and int(number) != lowest[sender] - 1:
            wrong += 1
        lowest[sender] = int(number)
    return seen, wrong


@scenario("initial-sync")
async def initial_sync(server: Homeserver, options: Namespace) -> Figures:
    """Users in 100 rooms of 50 messages sync from nothing: one alone, then all at once."""
    rooms, messages = options.rooms or 100, options.messages or 50
    count = options.users or 10
    users = await server.users(f"initial{options.seed}", count)
    ledgers = {}
    for index in range(rooms):
        key = f"initial{options.seed}-{rooms}-{count}-{index}"
        ledger = await _filled_room(server, key, users, messages, options.padding)
        ledgers[ledger.room_id] = ledger
    limit = options.timeline_limit
    wrong = 0
    sizes: list[int] = []

    async def one(user: User) -> float:
        """A first sync from a new device, as after a login."""
        nonlocal wrong
        device = await server.login(user.name, user.password)
        begun = time.perf_counter()
        reply = await server.sync(device, timeline_limit=limit)
        took = reply.done_at - begun
        sizes.append(reply.size)
        joined = reply.data["rooms"]["join"]
        for room_id, ledger in ledgers.items():
            room = joined.get(room_id)
            if room is None:
                wrong += 1
                continue
            seen, bad = _backwards(ledger, room["timeline"]["events"][::-1])
            wrong += bad + (seen != min(limit, messages))
        return took

    alone_window = server.window()
    alone = [await one(users[0]) for _ in range(3)]
    alone_window.stop()
    devices = await limited(4, (server.login(user.name, user.password) for user in users))
    window = server.window()
    begun = time.perf_counter()
    replies = await asyncio.gather(*(server.sync(user, timeline_limit=limit) for user in devices))
    together = [reply.done_at - begun for reply in replies]
    window.stop()
    for reply in replies:
        joined = reply.data["rooms"]["join"]
        sizes.append(reply.size)
        for room_id, ledger in ledgers.items():
            room = joined.get(room_id, {"timeline": {"events": []}})
            seen, bad = _backwards(ledger, room["timeline"]["events"][::-1])
            wrong += bad + (seen != min(limit, messages))
    figures: Figures = {
        "rooms": rooms,
        "messages_per_room": messages,
        "timeline_limit": limit,
        "users": count,
        "alone_first_ms": round(alone[0] * 1000, 1),
        "alone_again_ms": round(min(alone[1:]) * 1000, 1),
        "bytes_each": sizes[-1],
        "together_wall_ms": round(max(together) * 1000, 1),
        **percentiles("together", together),
        "syncs_per_s_together": round(count / max(together), 2),
    }
    per_unit(figures, window, "sync", count)
    return figures | {"window": window, "check": {"wrong": wrong, "ok": wrong == 0}}


@scenario("history")
async def history(server: Homeserver, options: Namespace) -> Figures:
    """Page backwards through one long room, a hundred events at a time."""
    messages = options.messages or 10000
    readers = options.concurrency or 1
    users = await server.users(f"history{options.seed}", 8)
    key = f"history{options.seed}-{messages}"
    ledger = await _filled_room(server, key, users, messages, options.padding)
    pages: list[float] = []
    everything: list[list[dict]] = []

    async def one(index: int) -> None:
        token, events = None, []
        everything.append(events)
        while True:
            begun = time.perf_counter()
            query = "dir=b&limit=100" + (f"&from={quote(token)}" if token else "")
            path = f"{V3}/rooms/{quote(ledger.room_id)}/messages?{query}"
            reply = await server.call(users[index % len(users)], "GET", path)
            pages.append(reply.done_at - begun)
            events.extend(reply.data["chunk"])
            token = reply.data.get("end")
            if not token or not reply.data["chunk"]:
                return

    window = server.window()
    for _ in range(options.repeat):
        await asyncio.gather(*(one(index) for index in range(readers)))
    window.stop()
    wrong = 0
    for events in everything:
        seen, bad = _backwards(ledger, events)
        wrong += bad + abs(seen - messages) + (len({e["event_id"] for e in events}) != len(events))
    total = sum(map(len, everything))
    figures: Figures = {
        "messages": messages,
        "readers": readers,
        "events": total,
        "events_per_s": round(total / window.wall, 1),
        **percentiles("page", pages),
    }
    per_unit(figures, window, "page", len(pages))
    return figures | {"window": window, "check": {"wrong": wrong, "ok": wrong == 0}}


@scenario("idle")
async def idle(server: Homeserver, options: Namespace) -> Figures:
    """Many users each holding a long-poll with nothing happening: what a connection costs."""
    count = options.users or 1000
    users = await server.users(f"idle{options.seed}", count)
    await server.catch_up(users)
    server.pool.close()
    await asyncio.sleep(2)
    memory_before = server.tree.memory_bytes() if server.tree else 0
    receivers = Receivers(server, [])
    ramp = server.window()
    await receivers.start(users)
    await asyncio.sleep(max(options.settle, 10))  # let the first answers and presence pass
    ramp.stop()
    polls = receivers.polls
    window = server.window()
    await asyncio.sleep(options.duration)
    window.stop()
    memory_after = server.tree.memory_bytes() if server.tree else 0
    polled = receivers.polls - polls
    receivers.stop()
    figures: Figures = {
        "users": count,
        "polls_per_min": round(polled * 60 / window.wall, 1),
        "ramp_server_cpu_s": round(ramp.server, 2),
    }
    if server.tree:
        figures |= {
            "memory_before_mb": round(memory_before / 1e6, 1),
            "memory_holding_mb": round(memory_after / 1e6, 1),
            "kb_per_connection": round((memory_after - memory_before) / 1e3 / count, 1),
            "server_cpu_s_per_min": round(window.server * 60 / window.wall, 2),
        }
    check = {"sync_failures": receivers.failures, "ok": receivers.failures == 0}
    return figures | {"window": window, "check": check}


@scenario("register-login")
async def register_login(server: Homeserver, options: Namespace) -> Figures:
    """New accounts, then logins with their passwords. The password hash dominates both."""
    width = options.concurrency or 4
    prefix = f"reg{new_run(options)}"
    names: list[str] = []
    took: dict[str, list[float]] = {"registration": [], "login": []}

    async def work(kind: str) -> None:
        until = time.perf_counter() + options.duration

        async def one(worker: int) -> None:
            number = 0
            while time.perf_counter() < until:
                begun = time.perf_counter()
                if kind == "registration":
                    name = f"{prefix}-{worker}-{number}"
                    await server.register(name)
                    names.append(name)
                else:
                    name = names[(worker + number * width) % len(names)]
                    await server.login(name, f"pw-{name}")
                took[kind].append(time.perf_counter() - begun)
                number += 1

        await asyncio.gather(*(one(worker) for worker in range(width)))

    figures: Figures = {"concurrency": width}
    window = server.window()
    for kind, times in took.items():
        part = server.window()
        await work(kind)
        part.stop()
        figures[f"{kind}s_per_s"] = round(len(times) / part.wall, 2)
        figures |= percentiles(kind, times)
        per_unit(figures, part, kind, len(times))
    window.stop()
    wrong = 0
    reply = await server.call(
        None,
        "POST",
        f"{V3}/login",
        {
            "type": "m.login.password",
            "password": "not it",
            "identifier": {"type": "m.id.user", "user": names[0]},
        },
        accept=(200, 403),
    )
    wrong += reply.status != 403
    return figures | {"window": window, "check": {"wrong": wrong, "ok": wrong == 0}}


@scenario("upload")
async def upload(server: Homeserver, options: Namespace) -> Figures:
    """Media up and down again, compared byte for byte."""
    size = options.size_mb * 1_000_000
    count = options.messages or 10
    width = options.concurrency or 1
    user, reader = await server.users(f"media{options.seed}", 2)
    files = [os.urandom(size) for _ in range(count)]
    wrong = 0
    places: list[str] = [""] * count
    gate = asyncio.Semaphore(width)

    async def up(index: int) -> None:
        async with gate:
            reply = await server.call(
                user,
                "POST",
                f"/_matrix/media/v3/upload?filename=load-{index}.bin",
                files[index],
                content_type="application/octet-stream",
            )
            places[index] = reply.data["content_uri"].removeprefix("mxc://")

    async def down(index: int) -> bytes:
        async with gate:
            path = f"/_matrix/client/v1/media/download/{places[index]}"
            return (await server.call(reader, "GET", path, raw=True)).data

    window = server.window()
    first = server.window()
    await asyncio.gather(*(up(index) for index in range(count)))
    first.stop()
    second = server.window()
    bodies = await asyncio.gather(*(down(index) for index in range(count)))
    second.stop()
    window.stop()
    for file, body in zip(files, bodies):
        wrong += hashlib.sha256(file).digest() != hashlib.sha256(body).digest()
    total = size * count / 1e6
    figures: Figures = {
        "files": count,
        "size_mb": options.size_mb,
        "concurrency": width,
        "upload_mb_per_s": round(total / first.wall, 1),
        "download_mb_per_s": round(total / second.wall, 1),
        "upload_server_cpu_s": round(first.server, 2),
        "download_server_cpu_s": round(second.server, 2),
    }
    return figures | {"window": window, "check": {"wrong": wrong, "ok": wrong == 0}}


@scenario("smoke")
async def smoke(server: Homeserver, options: Namespace) -> Figures:
    """The whole loop once, every answer checked: not a measurement, a correctness check."""
    results: dict[str, bool] = {}
    window = server.window()

    async def until(what: str, found: Callable[[dict], bool], user: User) -> bool:
        """Sync until something shows up; the result is noted under its name."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            data = (await server.sync(user, timeout=1000, timeline_limit=50)).data
            if found(data):
                results[what] = True
                return True
        results[what] = False
        return False

    def room_part(data: dict, section: str, room_id: str) -> dict:
        return data.get("rooms", {}).get(section, {}).get(room_id, {})

    def timeline(data: dict, room_id: str) -> list[dict]:
        return room_part(data, "join", room_id).get("timeline", {}).get("events", [])

    versions = (await server.call(None, "GET", "/_matrix/client/versions")).data
    results["versions"] = any(v.startswith("v1.") for v in versions["versions"])
    run = new_run(options)
    users = [await server.register(f"smoke-{run}-{name}") for name in "abc"]
    a, b, c = users
    who = (await server.call(b, "GET", f"{V3}/account/whoami")).data
    results["whoami"] = who["user_id"] == b.user_id
    again = await server.login(c.name, c.password)
    results["login"] = again.user_id == c.user_id and again.token != c.token

    room_id = await server.create_room(a, preset="private_chat", name="Smoke", invite=[b.user_id])
    await server.call(a, "POST", f"{V3}/rooms/{quote(room_id)}/invite", {"user_id": c.user_id})
    for user, name in ((b, "b"), (c, "c")):
        await until(
            f"{name} sees the invite", lambda d: bool(room_part(d, "invite", room_id)), user
        )
        await server.join(user, room_id)
        await until(f"{name} sees the room", lambda d: bool(room_part(d, "join", room_id)), user)
    await server.catch_up(users)

    ledger = RoomLedger(run, room_id, [user.user_id for user in users])
    receivers = Receivers(server, [ledger])
    await receivers.start(users)
    failed = 0

    async def ten(user: User) -> None:
        nonlocal failed
        for _ in range(10):
            failed += await server.send_numbered(user, ledger, run) is None

    await asyncio.gather(*(ten(user) for user in users))
    await receivers.drain(patience=5)
    receivers.stop()
    check = verdict([ledger], failed)
    results["30 messages received exactly once, in order, by all"] = check["ok"]

    await server.catch_up(users)
    content = {"msgtype": "m.text", "body": "once only"}
    first = (await server.send(a, room_id, f"same-{run}", content)).data["event_id"]
    second = (await server.send(a, room_id, f"same-{run}", content)).data["event_id"]
    results["a repeated transaction is the same event"] = first == second
    mine = [e for e in timeline((await server.sync(a)).data, room_id) if e["event_id"] == first]
    results["the sender sees its transaction id"] = (
        len(mine) == 1 and mine[0].get("unsigned", {}).get("transaction_id") == f"same-{run}"
    )
    room = room_part((await server.sync(b)).data, "join", room_id)
    count = room.get("unread_notifications", {}).get("notification_count")
    results["unread messages are counted"] = bool(count)

    path = f"{V3}/rooms/{quote(room_id)}"
    await server.call(b, "POST", f"{path}/receipt/m.read/{quote(first)}", {})

    def ephemeral(data: dict, kind: str) -> list[dict]:
        events = room_part(data, "join", room_id).get("ephemeral", {}).get("events", [])
        return [event["content"] for event in events if event["type"] == kind]

    await until(
        "a sees b's read receipt",
        lambda d: any(
            b.user_id in r.get(first, {}).get("m.read", {}) for r in ephemeral(d, "m.receipt")
        ),
        a,
    )
    await until(
        "the receipt clears the count",
        lambda d: (
            room_part(d, "join", room_id).get("unread_notifications", {}).get("notification_count")
            == 0
        ),
        b,
    )
    await server.call(
        c, "PUT", f"{path}/typing/{quote(c.user_id)}", {"typing": True, "timeout": 20000}
    )
    await until(
        "a sees c typing",
        lambda d: any(c.user_id in t["user_ids"] for t in ephemeral(d, "m.typing")),
        a,
    )

    edit = {
        "msgtype": "m.text",
        "body": "* edited",
        "m.new_content": {"msgtype": "m.text", "body": "edited"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": first},
    }
    edit_id = (await server.send(a, room_id, f"edit-{run}", edit)).data["event_id"]
    await until(
        "b sees the edit", lambda d: any(e["event_id"] == edit_id for e in timeline(d, room_id)), b
    )
    got = (await server.call(b, "GET", f"{path}/event/{quote(first)}")).data
    bundled = got.get("unsigned", {}).get("m.relations", {}).get("m.replace", {})
    results["the edit is bundled with its message"] = bundled.get("event_id") == edit_id

    victim = (await server.send(c, room_id, f"victim-{run}", content)).data["event_id"]
    await server.call(c, "PUT", f"{path}/redact/{quote(victim)}/redact-{run}", {"reason": "smoke"})
    await until(
        "b sees the redaction",
        lambda d: any(e["type"] == "m.room.redaction" for e in timeline(d, room_id)),
        b,
    )
    got = (await server.call(b, "GET", f"{path}/event/{quote(victim)}")).data
    results["a redacted message is empty"] = not got["content"]

    page = await server.messages(b, room_id, dir="b", limit=100)
    numbered = sum(
        e.get("content", {}).get("body", "").startswith(ledger.mark) for e in page["chunk"]
    )
    results["history holds the messages"] = numbered == 30
    members = (await server.call(a, "GET", f"{path}/joined_members")).data["joined"]
    results["three members joined"] = set(members) == {user.user_id for user in users}

    await server.call(c, "POST", f"{path}/leave", {})
    await until("c sees its leaving", lambda d: bool(room_part(d, "leave", room_id)), c)
    after = (await server.send(a, room_id, f"after-{run}", content)).data["event_id"]
    await until(
        "b still receives", lambda d: any(e["event_id"] == after for e in timeline(d, room_id)), b
    )
    seen = orjson.dumps((await server.sync(c)).data).decode()
    results["c no longer receives"] = after not in seen
    reply = await server.call(
        c, "PUT", f"{path}/send/m.room.message/no-{run}", content, accept=(200, 403)
    )
    results["c may no longer send"] = reply.status == 403
    await server.call(c, "POST", f"{V3}/logout", {})
    reply = await server.call(c, "GET", f"{V3}/account/whoami", accept=(200, 401))
    results["a logged-out token is refused"] = (
        reply.status == 401 and reply.data.get("errcode") == "M_UNKNOWN_TOKEN"
    )
    window.stop()
    return {
        "passed": sum(results.values()),
        "of": len(results),
        "not_passed": [name for name, ok in results.items() if not ok],
        "window": window,
        "check": {"ok": all(results.values())},
    }
