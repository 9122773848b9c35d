"""Sliding sync by random histories: whatever windows a client had, it ends up with what there is.

Every user follows with a window and a timeline that change all the time. Then one that shows all
rooms must make what they folded the same as a new connection shows, and as /sync shows.
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.api.chat import done, room_path
from tests.api.server import ApiServer, FakeClock
from tests.api.sliding import Slider, window
from tests.scenarios.sync_world import SYNC, USERS, Action, Variant, World, actions

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
Json = dict[str, Any]
EVERYTHING = [["*", "*"]]
LIMIT = 20
CLASSIC = json.dumps({"room": {"timeline": {"limit": LIMIT, "unread_thread_notifications": True}}})


class Folded:
    """What a client has of what it was told."""

    def __init__(self, slider: Slider) -> None:
        self.slider = slider
        slider.extensions = {"account_data": {"enabled": True}}
        self.rooms: dict[str, Json] = {}
        self.account_data: dict[str, Json] = {}

    async def slide(self, last: int, limit: int) -> bool:
        """Ask with a window; whether there was news."""
        before = self.slider.pos
        self.slider.lists = {"all": window(last, limit, EVERYTHING)}
        for room_id, told in (await self.slider.slide()).items():
            self._fold(room_id, told)
        data = self.slider.answer.get("extensions", {}).get("account_data", {})
        for room_id, events in {"": data.get("global", []), **data.get("rooms", {})}.items():
            self.account_data.setdefault(room_id, {}).update(
                {event["type"]: event["content"] for event in events}
            )
        return bool(self.slider.pos != before)

    def _fold(self, room_id: str, told: Json) -> None:
        if told.get("initial"):
            self.rooms[room_id] = {"state": {}, "timeline": []}
        room = self.rooms.get(room_id)
        assert room is not None, (room_id, told)
        for key in ("name", "membership", "bump_stamp", "joined_count", "invited_count"):
            if key in told:
                room[key] = told[key]
        for key in ("notification_count", "highlight_count"):
            room[key] = told.get(key)
        for event in told.get("required_state", []):
            room["state"][event["type"], event["state_key"]] = event["event_id"]
        events = [event["event_id"] for event in told.get("timeline", [])]
        if told.get("limited") or told.get("expanded_timeline"):
            room["timeline"] = events
        else:
            assert not set(events) & set(room["timeline"])
            room["timeline"] += events
        if "invite_state" in told or "knock_state" in told:
            stripped = told.get("invite_state") or told.get("knock_state") or []
            room["stripped"] = {event["type"] for event in stripped}

    def shown(self) -> Json:
        """The rooms that the user is in, or may come into."""
        rooms = {}
        for room_id, room in self.rooms.items():
            if room["membership"] in {"join", "invite", "knock"}:
                name = room.get("name") or None
                rooms[room_id] = {**room, "name": name, "timeline": room["timeline"][-LIMIT:]}
                if room["membership"] == "join":
                    rooms[room_id]["account_data"] = self.account_data.get(room_id, {})
        return rooms


async def check(follower: Folded) -> None:
    """The law."""
    person = follower.slider.person
    fresh = Folded(Slider(person, "fresh"))
    await fresh.slide(99, LIMIT)
    while await follower.slide(99, 1):
        pass
    shown, expected = follower.shown(), fresh.shown()
    for room_id, room in shown.items():
        newest = room.pop("timeline")
        whole = expected[room_id].pop("timeline")
        assert newest == whole[len(whole) - len(newest) :]
    assert shown == expected
    while await follower.slide(99, LIMIT):
        pass
    assert follower.shown() == fresh.shown()
    assert follower.account_data[""] == fresh.account_data[""]
    classic = await done(person.get("/sync", filter=CLASSIC, set_presence="offline"))
    rooms = classic.get("rooms", {})
    sections = {"join": "join", "invite": "invite", "knock": "knock"}
    for membership, section in sections.items():
        found = {i for i, room in fresh.shown().items() if room["membership"] == membership}
        assert found == set(rooms.get(section, {}))
    for room_id, room in rooms.get("join", {}).items():
        check_room(fresh.shown()[room_id], room)


def check_room(shown: Json, classic: Json) -> None:
    """A room is the same by both kinds of sync."""
    timeline = classic["timeline"]
    assert shown["timeline"] == [event["event_id"] for event in timeline["events"]]
    state = {
        (event["type"], event["state_key"]): event["event_id"]
        for event in (*classic["state"]["events"], *timeline["events"])
        if "state_key" in event
    }
    assert shown["state"] == state
    unread = classic["unread_notifications"]
    assert {key: shown[key] for key in unread} == unread
    assert shown["joined_count"] == classic["summary"]["m.joined_member_count"]
    assert shown["invited_count"] == classic["summary"]["m.invited_member_count"]
    data = {event["type"]: event["content"] for event in classic["account_data"]["events"]}
    assert shown["account_data"] == data


async def settle(world: World) -> None:
    """Let everybody come into the first two rooms."""
    for room_id, host in zip(world.rooms[:2], world.people, strict=False):
        for person in world.people:
            if person is not host:
                await host.post(f"{room_path(room_id)}/invite", {"user_id": person.user_id})
                await done(person.post(f"{room_path(room_id)}/join"))


async def live(db_url: str, folder: Path, history: list[Action]) -> None:
    """Let a history happen, and check what everybody has at its end."""
    server = await ApiServer.start(db_url, FakeClock(), data_dir=str(folder))
    try:
        world = World(server)
        await world.populate([Variant(1)] * USERS)
        await settle(world)
        followers = [Folded(Slider(person)) for person in world.people]
        for action in history:
            if action.kind == SYNC:
                for place, follower in enumerate(followers):
                    await follower.slide((action.number + place) % 3, 1 + action.other)
            else:
                await world.do(action)
        for follower in followers:
            await check(follower)
    finally:
        await server.close()


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(history=actions(60))
def test_sliding_sync_keeps_its_law(
    sqlite_template: Path, tmp_path: Path, history: list[Action]
) -> None:
    path = tmp_path / "sliding.sqlite"
    path.unlink(missing_ok=True)
    shutil.copy(sqlite_template, path)
    asyncio.run(live(f"sqlite:///{path}", tmp_path, history))


@settings(max_examples=4, deadline=None, suppress_health_check=SLOW)
@given(history=actions(40))
def test_sliding_sync_keeps_its_law_on_postgresql(
    postgres_database: str, tmp_path: Path, history: list[Action]
) -> None:
    asyncio.run(live(postgres_database, tmp_path, history))
