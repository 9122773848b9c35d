import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import json_values
from tests.rules.fakes import ALICE, BOB, ROOM, event
from tidings.protocol.events import Event, JsonObject
from tidings.rules.push_conditions import (
    PATTERN_CHARACTERS_MAX,
    Recipient,
    RoomContext,
    compile_condition,
    parse_path,
)

EVENT = event(
    "m.room.message",
    ALICE,
    {
        "body": "Hello Bob, an example.",
        "topic": "Lunch plans",
        "count": 1,
        "flag": True,
        "nothing": None,
        "half": 0.5,
        "list": ["a", 1, None, True, ["a"], {"a": 1}],
        "m.dotted": {"x\\y": "z"},
        "deep": {"er": {"still": "here"}},
    },
)
MEMBER = Recipient(BOB, "Bob")
ROOM_OF_THREE = RoomContext(member_count=3, sender_level=50, notification_level=50)


def holds(
    condition: object,
    event: Event = EVENT,
    member: Recipient = MEMBER,
    room: RoomContext = ROOM_OF_THREE,
) -> bool | None:
    compiled = compile_condition(condition)
    return compiled(event, member, room) if compiled else None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("content.body", ("content", "body")),
        (r"content.m\.relates_to", ("content", "m.relates_to")),
        (r"content.m\\foo", ("content", r"m\foo")),
        (r"content.\x", ("content", r"\x")),
        ("", ("",)),
        ("a..b", ("a", "", "b")),
        ("a\\", ("a\\",)),
    ],
)
def test_paths(text: str, path: tuple[str, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    ("key", "pattern", "expected"),
    [
        ("content.topic", "lunc?*", True),
        ("content.topic", "LUNCH PLANS", True),
        ("content.topic", "lunch", False),
        ("content.topic", "*", True),
        ("content.body", "ex*ple", True),
        ("content.body", "bob", True),
        ("content.body", "ob", False),
        ("content.count", "*", False),
        ("content.missing", "*", False),
        ("content.deep.er.still", "here", True),
        ("content.deep.er", "*", False),
        ("content.body.er", "*", False),
        (r"content.m\.dotted.x\\y", "z", True),
        ("content", "*", False),
        ("type", "m.room.*", True),
        ("sender", ALICE, True),
        ("room_id", ROOM, True),
        ("event_id", "$1", True),
        ("state_key", "*", False),
        ("origin_server_ts", "*", False),
        ("type.x", "*", False),
        ("unsigned.age", "*", False),
    ],
)
def test_event_match(key: str, pattern: str, expected: bool) -> None:
    assert holds({"kind": "event_match", "key": key, "pattern": pattern}) is expected


def test_event_match_of_state_keys() -> None:
    condition = {"kind": "event_match", "key": "state_key", "pattern": ""}
    assert holds(condition, event("x", ALICE, {}, "")) is True
    assert holds(condition, event("x", ALICE, {}, "y")) is False


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("content.flag", True, True),
        ("content.flag", 1, False),
        ("content.count", 1, True),
        ("content.count", True, False),
        ("content.count", "1", False),
        ("content.nothing", None, True),
        ("content.missing", None, False),
        ("content.topic", "Lunch plans", True),
        ("content.topic", "lunch plans", False),
        ("content.list", "a", False),
        ("content.half", 0.5, None),
        ("content.list", [], None),
        (5, "x", None),
    ],
)
def test_event_property_is(key: object, value: object, expected: bool | None) -> None:
    assert holds({"kind": "event_property_is", "key": key, "value": value}) is expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("content.list", "a", True),
        ("content.list", "A", False),
        ("content.list", 1, True),
        ("content.list", None, True),
        ("content.list", True, True),
        ("content.list", False, False),
        ("content.topic", "Lunch", False),
        ("content.deep", "er", False),
        ("content.missing", "a", False),
        ("content.list", ["a"], None),
    ],
)
def test_event_property_contains(key: str, value: object, expected: bool | None) -> None:
    condition = {"kind": "event_property_contains", "key": key, "value": value}
    assert holds(condition) is expected


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("Bob", "hello bob!", True),
        ("Bob", "hello bobby", False),
        ("Bob", "bobby and Bob", True),
        ("B*b", "Bob", False),
        ("Bob B.", "this is bob b. speaking", True),
        ("", "anything", False),
        (None, "anything", False),
        ("Bob", None, False),
        ("Bob", ["Bob"], False),
    ],
)
def test_contains_display_name(name: str | None, body: object, expected: bool) -> None:
    message = event("m.room.message", ALICE, {"body": body})
    assert holds({"kind": "contains_display_name"}, message, Recipient(BOB, name)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", True),
        ("==3", True),
        ("2", False),
        ("<3", False),
        ("<=3", True),
        (">3", False),
        (">=3", True),
        (">2", True),
        ("", None),
        ("three", None),
        ("=3", None),
        ("-3", None),
        ("٣", None),
        ("9" * 5000, None),
        (3, None),
    ],
)
def test_room_member_count(text: object, expected: bool | None) -> None:
    assert holds({"kind": "room_member_count", "is": text}) is expected


def test_sender_notification_permission() -> None:
    condition = {"kind": "sender_notification_permission", "key": "room"}
    assert holds(condition) is True
    assert holds(condition, room=RoomContext(3, 49, 50)) is False
    assert holds({**condition, "key": "other"}) is None


@pytest.mark.parametrize(
    "condition",
    [
        None,
        [],
        "event_match",
        {},
        {"kind": "org.example.unknown"},
        {"kind": ["event_match"]},
        {"kind": "event_match"},
        {"kind": "event_match", "key": "type"},
        {"kind": "event_match", "key": 5, "pattern": "x"},
        {"kind": "event_match", "key": "type", "pattern": "x" * (PATTERN_CHARACTERS_MAX + 1)},
        {"kind": "event_property_is", "key": "type"},
        {"kind": "event_property_contains", "value": "x"},
    ],
)
def test_unknown_conditions_never_hold(condition: object) -> None:
    assert holds(condition) is None


KINDS = st.sampled_from(
    ["event_match", "event_property_is", "event_property_contains", "room_member_count"]
)


@given(KINDS, json_values.objects, json_values.texts, json_values.values, json_values.objects)
def test_compiling_and_holding_are_total(
    kind: str, condition: JsonObject, key: str, value: object, content: JsonObject
) -> None:
    hostile = {**condition, "kind": kind, "key": f"content.{key}", "value": value, "is": value}
    if isinstance(value, str):
        hostile["pattern"] = value
    assert holds(hostile, event("x", ALICE, content)) in (True, False, None)
