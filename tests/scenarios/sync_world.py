"""A small world for the law of sync: people who act at random, and devices that follow them.

Every device is a pair: one is answered out of memory where the server can, the other always out of
the database. What they are told must be the same, and folding it must give what a fresh sync gives.
"""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from hypothesis import strategies as st

from tests.api.chat import room_path, user_path
from tests.api.server import ApiServer, FakeClock, Person
from tidings.client.state import ClientState, apply
from tidings.client.state_comparison import normalise

Json = dict[str, Any]
USERS = 4
ROOMS = 3
SYNC = "sync"
VISIBILITIES = ("shared", "joined", "invited", "world_readable")
KINDS = (
    *("join", "join", "invite", "leave", "kick", "ban", "unban", "knock", "forget"),
    *("message", "message", "message", "edit", "thread", "redact", "redact"),
    *("name", "visibility", "state", "displayname"),
    *("receipt", "receipt", "private receipt", "fully read", "thread receipt"),
    *("typing", "data", "room data", "tag", "status", "forget everything"),
    *((SYNC,) * 8),
    "sync again",
)


@dataclass(frozen=True)
class Action:
    """One thing that happens: who does what, where, to whom, and a number that varies it."""

    kind: str
    user: int
    room: int
    other: int
    number: int


def actions(most: int) -> st.SearchStrategy[list[Action]]:
    """Random histories."""
    one = st.builds(
        Action,
        st.sampled_from(KINDS),
        st.integers(0, USERS - 1),
        st.integers(0, ROOMS - 1),
        st.integers(0, USERS - 1),
        st.integers(0, 6),
    )
    return st.lists(one, min_size=10, max_size=most)


@dataclass(frozen=True)
class Variant:
    """How a device syncs."""

    limit: int
    lazy: bool = False
    state_after: bool = False
    threads: bool = False
    types: tuple[str, ...] | None = None

    def query(self) -> dict[str, str | int]:
        timeline: Json = {"limit": self.limit, "unread_thread_notifications": self.threads}
        if self.types is not None:
            timeline["types"] = list(self.types)
        chosen = {"room": {"timeline": timeline, "state": {"lazy_load_members": self.lazy}}}
        query: dict[str, str | int] = {"filter": json.dumps(chosen), "set_presence": "offline"}
        if self.state_after:
            query["use_state_after"] = "true"
        return query


MESSAGES = ("m.room.message", "m.room.redaction")


def variants() -> st.SearchStrategy[list[Variant]]:
    """One for each user."""
    one = st.builds(
        Variant,
        limit=st.integers(1, 5),
        lazy=st.booleans(),
        state_after=st.booleans(),
        threads=st.booleans(),
        types=st.sampled_from([None, None, MESSAGES]),
    )
    return st.lists(one, min_size=USERS, max_size=USERS)


class Follower:
    """Two devices of a user that sync at the same moments, and what they fold."""

    def __init__(self, world: "World", fast: Person, stored: Person, variant: Variant) -> None:
        self.world = world
        self.fast = fast
        self.stored = stored
        self.variant = variant
        self.state = ClientState()
        self.tokens: list[str] = []

    async def sync(self) -> bool:
        """Sync both devices; whether there was news."""
        since = self.state.since
        told = await self._tell_both(since)
        self.state = apply(self.state, told)
        self.tokens.append(told["next_batch"])
        return bool(told["next_batch"] != since)

    async def sync_again(self, number: int) -> None:
        """Sync both devices from an older token, as after a loss; nothing is folded."""
        if self.tokens:
            await self._tell_both(self.tokens[-1 - number % len(self.tokens)])

    async def _tell_both(self, since: str | None) -> Json:
        query = self.variant.query()
        if since is not None:
            query["since"] = since
        told = await synced(self.fast, query)
        with self.world.without_memory():
            again = await synced(self.stored, query)
        found = list(differences(comparable(told), comparable(again)))
        assert not found, found
        return told

    async def check(self) -> None:
        """The law: the fold is what a fresh sync gives."""
        while await self.sync():
            pass
        fresh = apply(ClientState(), await synced(self.fast, self.variant.query()))
        whole = apply(ClientState(), await synced(self.fast, {"set_presence": "offline"}))
        check_equal(self.state, fresh, whole, self.variant)


class World:
    """One server, its people, and what they have done."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.people: list[Person] = []
        self.followers: list[Follower] = []
        self.rooms: list[str] = []
        self.events: dict[str, list[str]] = {}
        self.trace: list[str] = []
        self._numbers = count()

    async def populate(self, chosen: list[Variant]) -> None:
        """People and rooms."""
        for number, variant in enumerate(chosen):
            person = await self.server.user(f"user{number}-{next(_SERIAL)}")
            other = await self.server.log_in(person.user_id)
            self.people.append(person)
            self.followers.append(Follower(self, person, other, variant))
        presets: list[Json] = [
            {"preset": "public_chat", "name": "Public"},
            {"preset": "private_chat"},
            {"preset": "public_chat", "initial_state": [_state("m.room.join_rules", "knock")]},
        ]
        for number, options in enumerate(presets):
            created = await self.people[number].post("/createRoom", options)
            self.rooms.append(created.json()["room_id"])
            self.events[self.rooms[-1]] = []

    async def do(self, action: Action) -> None:
        """Let something happen; what is refused has not happened."""
        self.server.clock.advance(7)
        if action.kind == SYNC:
            await self.followers[action.user].sync()
        elif action.kind == "sync again":
            await self.followers[action.user].sync_again(action.number)
        elif action.kind == "forget everything":
            await self.forget_everything()
        else:
            answer = await self._deed(action)
            assert answer.status_code < 500, answer.text
            if answer.status_code == 200 and "event_id" in answer.text:
                self.events[self.rooms[action.room]].append(answer.json()["event_id"])

    def _deed(self, action: Action) -> Awaitable[httpx.Response]:
        who, other = self.people[action.user], self.people[action.other]
        room_id = self.rooms[action.room]
        room = room_path(room_id)
        if action.kind in _MEMBERSHIP:
            named = action.kind in {"invite", "kick", "ban", "unban"}
            body: Json = {"user_id": other.user_id} if named else {}
            path = f"/knock/{quote(room_id)}" if action.kind == "knock" else f"{room}/{action.kind}"
            return who.post(path, body)
        return self._deed_in_room(action, who, room)

    def _deed_in_room(self, action: Action, who: Person, room: str) -> Awaitable[httpx.Response]:
        number = action.number
        target = self._event(action)
        value = {"value": number}
        data = f"{user_path(who)}/rooms/{quote(self.rooms[action.room])}"
        deeds: Mapping[str, Callable[[], Awaitable[httpx.Response]]] = {
            "message": lambda: self._send(who, room, {"body": f"{number}"}),
            "edit": lambda: self._send(who, room, _related("m.replace", target)),
            "thread": lambda: self._send(who, room, _related("m.thread", target)),
            "redact": lambda: who.put(f"{room}/redact/{quote(target)}/{next(self._numbers)}"),
            "name": lambda: who.put(f"{room}/state/m.room.name/", {"name": "AB"[: number % 3]}),
            "visibility": lambda: who.put(
                f"{room}/state/m.room.history_visibility/",
                {"history_visibility": VISIBILITIES[number % 4]},
            ),
            "state": lambda: who.put(f"{room}/state/org.state/{number % 2}", value),
            "displayname": lambda: who.put(
                f"/profile/{quote(who.user_id)}/displayname", {"displayname": f"{number}"}
            ),
            "receipt": lambda: who.post(f"{room}/receipt/m.read/{quote(target)}"),
            "private receipt": lambda: who.post(f"{room}/receipt/m.read.private/{quote(target)}"),
            "fully read": lambda: who.post(f"{room}/read_markers", {"m.fully_read": target}),
            "thread receipt": lambda: who.post(
                f"{room}/receipt/m.read/{quote(target)}", {"thread_id": "main"}
            ),
            "typing": lambda: who.put(
                f"{room}/typing/{quote(who.user_id)}", {"typing": number % 2 == 0, "timeout": 9000}
            ),
            "data": lambda: who.put(f"{user_path(who)}/account_data/org.d{number % 2}", value),
            "room data": lambda: who.put(f"{data}/account_data/org.d{number % 2}", value),
            "tag": lambda: who.put(f"{data}/tags/u.{number % 2}", {"order": 0.5}),
            "status": lambda: self._status(who, number),
        }  # fmt: skip
        return deeds[action.kind]()

    async def _status(self, who: Person, number: int) -> httpx.Response:
        status = {"presence": ("online", "unavailable")[number % 2], "status_msg": f"{number}"}
        answer = await who.put(f"/presence/{quote(who.user_id)}/status", status)
        await self.server.server.presence_tracker.flush()
        return answer

    def _send(self, who: Person, room: str, content: Json) -> Awaitable[httpx.Response]:
        content = {"msgtype": "m.text", "body": "…", **content}
        return who.put(f"{room}/send/m.room.message/{next(self._numbers)}", content)

    def _event(self, action: Action) -> str:
        events = self.events[self.rooms[action.room]]
        return events[-1 - action.number % len(events)] if events else "$none"

    async def forget_everything(self) -> None:
        """As after a restart: nothing is in memory any more."""
        server = self.server.server
        async with server.db.read() as tx:
            await server.present.reset(tx, await tx.snapshot_position())

    def without_memory(self) -> "_WithoutMemory":
        """Within it an incremental sync is answered out of the database."""
        return _WithoutMemory(self.server)


class _WithoutMemory:
    def __init__(self, server: ApiServer) -> None:
        self._feed = server.server.feed

    def __enter__(self) -> None:
        self._floor = self._feed.floor
        self._feed.floor = 2**60

    def __exit__(self, *_: object) -> None:
        self._feed.floor = self._floor


_MEMBERSHIP = {"join", "invite", "leave", "kick", "ban", "unban", "knock", "forget"}
_SERIAL = count()


def _state(type_: str, value: str) -> Json:
    return {"type": type_, "state_key": "", "content": {type_.removeprefix("m.room.")[:-1]: value}}


def _related(rel_type: str, target: str) -> Json:
    relation = {"rel_type": rel_type, "event_id": target}
    return {"m.relates_to": relation, "m.new_content": {"msgtype": "m.text", "body": "!"}}


async def synced(person: Person, query: Mapping[str, str | int]) -> Json:
    answer = await person.get("/sync", **query)
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


# --- the same news, told twice ---------------------------------------------------------------


def comparable(told: Json) -> Json:
    """An answer in the form in which both ways of making it must agree."""
    rooms = told.get("rooms", {})
    return {
        "next_batch": told["next_batch"],
        "join": {room_id: _joined(room) for room_id, room in rooms.get("join", {}).items()},
        "leave": {room_id: _joined(room) for room_id, room in rooms.get("leave", {}).items()},
        "invite": rooms.get("invite", {}),
        "knock": rooms.get("knock", {}),
        "account_data": _by(told.get("account_data"), "type"),
        "presence": _by(told.get("presence"), "sender"),
    }


def differences(one: object, other: object, path: str = "") -> Iterator[str]:
    """Where two values differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif one != other:
        yield f"{path}: {one} != {other}"


def _joined(room: Json) -> Json:
    timeline = room["timeline"]
    return {
        "timeline": [_event(event) for event in timeline["events"]],
        "limited": timeline["limited"],
        "prev_batch": timeline["prev_batch"],
        "state": _states(room.get("state")),
        "state_after": _states(room.get("state_after")),
        "typing": [e["content"] for e in _ephemeral(room) if e["type"] == "m.typing"],
        "receipts": sorted(_receipts(_ephemeral(room))),
        "account_data": _by(room.get("account_data"), "type"),
        "counts": room.get("unread_notifications"),
        "threads": room.get("unread_thread_notifications", {}),
    }


def _ephemeral(room: Json) -> list[Json]:
    events: list[Json] = room.get("ephemeral", {}).get("events", [])
    return events


def _receipts(events: list[Json]) -> Iterator[tuple[str, ...]]:
    for event in events:
        if event["type"] == "m.receipt":
            for event_id, by_type in event["content"].items():
                for kind, readers in by_type.items():
                    for user_id, said in readers.items():
                        yield event_id, kind, user_id, said.get("thread_id", ""), str(said["ts"])


def _states(section: Json | None) -> Json | None:
    if section is None:
        return None
    events = section["events"]
    found = {f"{event['type']} {event['state_key']}": _event(event) for event in events}
    assert len(found) == len(events), "the same state twice"
    return found


def _event(event: Json) -> Json:
    # Edits are bundled only where the timeline may hide them; times pass between the answers.
    unsigned = {
        key: value
        for key, value in event.get("unsigned", {}).items()
        if key not in {"age", "m.relations", "transaction_id"}
    }
    if "redacted_because" in unsigned:
        unsigned["redacted_because"] = unsigned["redacted_because"]["event_id"]
    return {**event, "unsigned": unsigned}


def _by(section: Json | None, key: str) -> Json:
    events = (section or {}).get("events", [])
    found = {event[key]: event["content"] for event in events}
    assert len(found) == len(events), "the same thing twice"
    return found


# --- the fold and the fresh sync --------------------------------------------------------------


def check_equal(fold: ClientState, fresh: ClientState, whole: ClientState, how: Variant) -> None:
    """Compare what was folded with what a fresh sync says; `whole` is one without a filter.

    What may differ, and why: lazily loaded members (each that is known must be the present one),
    presence of people one no longer meets, what an invitation showed when it came, heroes of a
    room that has got a name, and times.
    """
    mine, theirs, all_of_it = (_plain(each, how.limit) for each in (fold, fresh, whole))
    assert mine["account_data"] == theirs["account_data"]
    assert mine["rooms"].keys() == theirs["rooms"].keys() == all_of_it["rooms"].keys()
    for room_id, room in mine["rooms"].items():
        _check_room(room, theirs["rooms"][room_id], all_of_it["rooms"][room_id], how)
    for user_id, content in theirs["presence"].items():
        assert _timeless(mine["presence"][user_id]) == _timeless(content), user_id


def _plain(state: ClientState, events: int) -> Json:
    plain: Json = normalise(state, events)
    return plain


def _check_room(mine: Json, fresh: Json, whole: Json, how: Variant) -> None:
    assert mine["membership"] == fresh["membership"] == whole["membership"]
    if mine["membership"] != "join":
        return
    for part in ("timeline", "account_data", "receipts", "typing", "unread", "unread_threads"):
        assert mine[part] == fresh[part], part
    assert mine["state"].keys() >= fresh["state"].keys()
    for key, event in mine["state"].items():
        assert event == whole["state"][key], (key, event, whole["state"][key])
    if not how.lazy:
        assert mine["state"].keys() == whole["state"].keys()
    _check_summary(mine, fresh)


def _check_summary(mine: Json, fresh: Json) -> None:
    one, other = dict(mine["summary"]), dict(fresh["summary"])
    heroes, fresh_heroes = one.pop("m.heroes", None), other.pop("m.heroes", None)
    assert one == other
    if fresh_heroes is not None:
        assert set(heroes or ()) == set(fresh_heroes), (heroes, fresh_heroes)


def _timeless(content: Json) -> Json:
    return {key: value for key, value in content.items() if key != "last_active_ago"}


# --- running it -------------------------------------------------------------------------------


async def live(db_url: str, chosen: list[Variant], history: list[Action]) -> None:
    """A world from its beginning to its end."""
    server = await ApiServer.start(db_url, FakeClock())
    try:
        world = World(server)
        await world.populate(chosen)
        for action in history:
            await world.do(action)
        for follower in world.followers:
            await follower.check()
    finally:
        await server.close()


def live_on_copy(template: Path, folder: Path, chosen: list[Variant], done: list[Action]) -> None:
    """The same on a fresh SQLite database."""
    path = folder / f"world-{next(_SERIAL)}.db"
    shutil.copyfile(template, path)
    asyncio.run(live(f"sqlite:///{path}", chosen, done))
    path.unlink()
