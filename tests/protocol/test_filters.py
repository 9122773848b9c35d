import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import json_values
from tests.rules.fakes import ALICE, BOB, ROOM, event
from tidings.protocol.errors import BadJson
from tidings.protocol.events import JsonObject
from tidings.protocol.filters import SYNC_LIMIT_MAX, parse_filter, parse_room_event_filter

MESSAGE = event("m.room.message", ALICE, {"body": "x", "url": "mxc://here/1"})


def test_an_empty_filter_is_everything() -> None:
    for value in ({}, {"room": None}, {"room": {"timeline": {"limit": 5}}}, {"unknown": 1}):
        chosen = parse_filter(value)
        assert chosen.room.timeline.is_everything
        assert chosen.presence.is_everything
        assert chosen.room.timeline.passes(MESSAGE)
        assert chosen.room.allows_room(ROOM)
    assert parse_room_event_filter({"lazy_load_members": True}).is_everything


@pytest.mark.parametrize(
    ("value", "passes"),
    [
        ({"types": ["m.room.message"]}, True),
        ({"types": ["m.room.*"]}, True),
        ({"types": ["*"]}, True),
        ({"types": ["m.*.mess*"]}, True),
        ({"types": ["m.room.?essage"]}, False),
        ({"types": []}, False),
        ({"types": ["m.room.name"]}, False),
        ({"not_types": ["m.room.*"]}, False),
        ({"types": ["m.room.message"], "not_types": ["*"]}, False),
        ({"not_types": []}, True),
        ({"senders": [ALICE]}, True),
        ({"senders": []}, False),
        ({"senders": [BOB]}, False),
        ({"not_senders": [BOB]}, True),
        ({"senders": [ALICE], "not_senders": [ALICE]}, False),
        ({"rooms": [ROOM]}, True),
        ({"rooms": []}, False),
        ({"rooms": [ROOM], "not_rooms": [ROOM]}, False),
        ({"contains_url": True}, True),
        ({"contains_url": False}, False),
    ],
)
def test_what_passes(value: JsonObject, passes: bool) -> None:
    assert parse_room_event_filter(value).passes(MESSAGE) is passes


def test_account_data_has_no_sender() -> None:
    assert parse_filter({"account_data": {"types": ["m.tag"]}}).account_data.passes_type("m.tag")
    by_sender = parse_filter({"account_data": {"senders": [ALICE]}}).account_data
    assert not by_sender.passes_type("m.tag")


def test_limits_are_clamped() -> None:
    def limit(value: JsonObject) -> int:
        return parse_room_event_filter(value).clamped_limit(10, SYNC_LIMIT_MAX)

    assert [limit({}), limit({"limit": 0}), limit({"limit": 7}), limit({"limit": 10**9})] == [
        10,
        0,
        7,
        SYNC_LIMIT_MAX,
    ]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"presence": "not_an_object"},
        {"room": {"timeline": "not_an_object"}},
        {"room": {"state": {"types": "not_a_list"}}},
        {"room": {"timeline": {"rooms": ["not_a_room_id"]}}},
        {"presence": {"senders": ["not_a_sender_id"]}},
        {"room": {"timeline": {"limit": -1}}},
        {"room": {"timeline": {"limit": "10"}}},
        {"event_format": "xml"},
        {"event_fields": "type"},
    ],
)
def test_refuses_wrong_shapes(value: object) -> None:
    with pytest.raises(BadJson):
        parse_filter(value)


_NAMES = st.sampled_from(["room", "timeline", "types", "senders", "limit", "rooms", "presence"])
_HOSTILE = st.recursive(
    json_values.scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
)


@given(_HOSTILE)
def test_parsing_is_total(value: object) -> None:
    try:
        chosen = parse_filter(value)
    except BadJson:
        return
    assert chosen.room.timeline.passes(MESSAGE) in (True, False)
    assert hash(chosen) == hash(parse_filter(value))
