import pytest

from tests.rules.fakes import ALICE, BOB, CAROL, V10, V11, V12, FakeRoom
from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.room_versions import RoomVersion
from tidings.rules import authorise

SINGLE = ("users_default", "events_default", "state_default", "ban", "redact", "kick", "invite")
BEFORE: JsonObject = {
    "users": {BOB: 50, CAROL: 40},
    "events": {"m.room.name": 50, "secret": 70},
    "notifications": {"room": 50, "secret": 70},
    "ban": 50,
    "kick": 70,
}


def allows(content: JsonObject, *, version: RoomVersion = V12, sender: str = BOB) -> bool:
    """Whether Bob, of level 50, may put these levels in the place of those above."""
    room = FakeRoom(version).member(BOB, "join").put("m.room.power_levels", BEFORE)
    draft = Draft(room.room_id, "m.room.power_levels", type(ALICE)(sender), content, "")
    try:
        authorise.check(draft, room)
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("version", [V10, V11, V12])
def test_nothing_changed(version: RoomVersion) -> None:
    assert allows(BEFORE, version=version)


@pytest.mark.parametrize("key", SINGLE)
def test_single_levels(key: str) -> None:
    if key == "kick":  # is above Bob: neither lowered nor removed
        assert not allows({**BEFORE, key: 50})
        assert not allows({name: value for name, value in BEFORE.items() if name != key})
        return
    assert allows({**BEFORE, key: 50})
    assert allows({**BEFORE, key: -1})
    assert not allows({**BEFORE, key: 51})


@pytest.mark.parametrize("key", ["events", "notifications"])
def test_entries(key: str) -> None:
    entries = BEFORE[key]
    assert isinstance(entries, dict)
    assert allows({**BEFORE, key: {**entries, "new": 50}})
    assert not allows({**BEFORE, key: {**entries, "new": 51}})
    assert not allows({**BEFORE, key: {**entries, "secret": 50}})
    assert not allows({**BEFORE, key: {}})
    assert allows({**BEFORE, key: {"secret": 70}})


def test_users() -> None:
    def users(**levels: int) -> bool:
        return allows({**BEFORE, "users": {f"@{name}:here": n for name, n in levels.items()}})

    assert users(bob=50, carol=50)
    assert users(bob=50)
    assert users(bob=0, carol=40)
    assert users(carol=40)
    assert users(bob=50, carol=40, dave=50)
    assert not users(bob=51, carol=40)
    assert not users(bob=50, carol=51)
    assert not users(bob=50, carol=40, dave=51)


def test_equals_are_out_of_reach() -> None:
    room = FakeRoom().member(BOB, "join").levels(users={BOB: 50, CAROL: 50})
    draft = Draft(room.room_id, "m.room.power_levels", BOB, {"users": {BOB: 50}}, "")
    with pytest.raises(Forbidden):
        authorise.check(draft, room)


@pytest.mark.parametrize("wrong", [None, "50", 1.0, True, [], {}])
def test_levels_are_integers(wrong: object) -> None:
    for key in SINGLE:
        assert not allows({**BEFORE, key: wrong}, sender=ALICE)
    for key in ("users", "events", "notifications"):
        assert not allows({**BEFORE, key: {BOB: wrong}}, sender=ALICE)
        assert wrong == {} or not allows({**BEFORE, key: wrong}, sender=ALICE)


def test_keys_of_users_are_user_ids() -> None:
    assert not allows({**BEFORE, "users": {"bob": 1}}, sender=ALICE)


def test_creators_are_not_listed_in_version_12() -> None:
    listed: JsonObject = {**BEFORE, "users": {ALICE: 100}}
    assert not allows(listed, sender=ALICE)
    room = FakeRoom().put("m.room.create", {"room_version": "12", "additional_creators": [BOB]})
    draft = Draft(room.room_id, "m.room.power_levels", ALICE, {"users": {BOB: 1}}, "")
    with pytest.raises(Forbidden):
        authorise.check(draft, room)


def test_the_first_levels_of_a_room_are_free() -> None:
    for version in (V10, V11):
        room = FakeRoom(version)
        content: JsonObject = {"users": {ALICE: 1000}, "ban": 1000}
        authorise.check(Draft(room.room_id, "m.room.power_levels", ALICE, content, ""), room)
