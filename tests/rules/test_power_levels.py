import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import json_values
from tests.rules.fakes import ALICE, BOB, V10, V11, V12, event
from tidings.protocol.events import JsonObject
from tidings.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tidings.rules.power_levels import CREATOR_LEVEL, PowerLevels, creators_of

CREATORS = frozenset({ALICE})


def test_defaults_of_a_room_without_levels() -> None:
    for version, creator_level in ((V10, 100), (V11, 100), (V12, CREATOR_LEVEL)):
        levels = PowerLevels.parse(None, version, CREATORS)
        assert levels.of(ALICE) == creator_level
        assert levels.of(BOB) == 0
        assert (levels.ban, levels.kick, levels.redact, levels.invite) == (50, 50, 50, 0)
        assert levels.to_send("m.room.name", is_state=True) == 50
        assert levels.to_send("m.room.message", is_state=False) == 0
        assert levels.notification() == 50


def test_an_event_takes_the_place_of_all_defaults() -> None:
    content: JsonObject = {
        "users": {BOB: 7},
        "users_default": 1,
        "events": {"m.room.name": 3},
        "events_default": 2,
        "state_default": 4,
        "ban": 11,
        "kick": 12,
        "redact": 13,
        "invite": 14,
        "notifications": {"room": 15},
    }
    levels = PowerLevels.parse(content, V11, CREATORS)
    assert (levels.of(ALICE), levels.of(BOB)) == (1, 7)
    assert levels.to_send("m.room.name", is_state=True) == 3
    assert levels.to_send("m.room.name", is_state=False) == 3
    assert levels.to_send("x", is_state=True) == 4
    assert levels.to_send("x", is_state=False) == 2
    assert (levels.ban, levels.kick, levels.redact, levels.invite) == (11, 12, 13, 14)
    assert levels.notification() == 15
    assert levels.notification("other") == 50


def test_creators_cannot_be_limited_in_version_12() -> None:
    content: JsonObject = {"users": {ALICE: 0}, "users_default": 2**53 - 1}
    levels = PowerLevels.parse(content, V12, CREATORS)
    assert levels.of(ALICE) > levels.of(BOB)


@pytest.mark.parametrize(
    ("version", "content", "creators"),
    [
        (V10, {"creator": BOB}, {BOB}),
        (V10, {"creator": 5}, {ALICE}),
        (V10, {}, {ALICE}),
        (V11, {"creator": BOB, "additional_creators": [BOB]}, {ALICE}),
        (V12, {"additional_creators": [BOB]}, {ALICE, BOB}),
        (V12, {"additional_creators": [BOB, 5, None, ["x"]]}, {ALICE, BOB}),
        (V12, {"additional_creators": BOB}, {ALICE}),
    ],
)
def test_creators(version: RoomVersion, content: JsonObject, creators: set[str]) -> None:
    assert creators_of(event("m.room.create", ALICE, content, ""), version) == creators


KEYS = ["users", "events", "notifications", "users_default", "ban", "invite", "kick"]


@given(st.dictionaries(st.sampled_from(KEYS), json_values.values))
def test_reading_is_total(content: JsonObject) -> None:
    for version in ROOM_VERSIONS.values():
        levels = PowerLevels.parse(content, version, CREATORS)
        numbers = [levels.of(BOB), levels.ban, levels.to_send("x", is_state=True)]
        assert all(type(number) is int for number in [*numbers, levels.notification()])
