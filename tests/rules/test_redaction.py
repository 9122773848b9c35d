import pytest
from hypothesis import given

from tests import json_values
from tests.rules.fakes import V10, V11, V12
from tidings.protocol.events import JsonObject
from tidings.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tidings.rules.redaction import redact

KEPT = {
    "event_id": "$x",
    "type": "m.room.message",
    "room_id": "!x",
    "sender": "@a:x",
    "state_key": "",
    "content": {},
    "hashes": {"sha256": "x"},
    "signatures": {"x": {}},
    "depth": 1,
    "prev_events": ["$p"],
    "auth_events": ["$a"],
    "origin_server_ts": 1,
}
KEPT_UNTIL_10 = {"prev_state": [], "origin": "x", "membership": "join"}
DROPPED = {"unsigned": {"age": 1}, "redacts": "$y", "age": 5, "org.example": {"x": 1}}


def test_members_of_events() -> None:
    event: JsonObject = {**KEPT, **KEPT_UNTIL_10, **DROPPED, "content": {"body": "x"}}
    assert redact(event, V10) == {**KEPT, **KEPT_UNTIL_10}
    assert redact(event, V11) == KEPT
    assert redact(event, V12) == KEPT


POWER: JsonObject = {
    "ban": 1,
    "events": {},
    "events_default": 1,
    "kick": 1,
    "redact": 1,
    "state_default": 1,
    "users": {},
    "users_default": 1,
}
INVITE: JsonObject = {"display_name": "x", "signed": {"mxid": "@a:x", "token": "t"}}


@pytest.mark.parametrize(
    ("type", "content", "kept_10", "kept_11"),
    [
        ("m.room.message", {"body": "x"}, {}, {}),
        ("m.room.name", {"name": "x"}, {}, {}),
        (
            "m.room.member",
            {"membership": "join", "displayname": "x", "join_authorised_via_users_server": "@a:x"},
            {"membership": "join", "join_authorised_via_users_server": "@a:x"},
            {"membership": "join", "join_authorised_via_users_server": "@a:x"},
        ),
        (
            "m.room.member",
            {"membership": "invite", "third_party_invite": INVITE},
            {"membership": "invite"},
            {"membership": "invite", "third_party_invite": {"signed": INVITE["signed"]}},
        ),
        ("m.room.member", {"third_party_invite": 5}, {}, {}),
        (
            "m.room.create",
            {"creator": "@a:x", "room_version": "10", "type": "m.space"},
            {"creator": "@a:x"},
            {"creator": "@a:x", "room_version": "10", "type": "m.space"},
        ),
        (
            "m.room.join_rules",
            {"join_rule": "restricted", "allow": [], "x": 1},
            {"join_rule": "restricted", "allow": []},
            {"join_rule": "restricted", "allow": []},
        ),
        (
            "m.room.power_levels",
            {**POWER, "invite": 1, "notifications": {}},
            POWER,
            {**POWER, "invite": 1},
        ),
        (
            "m.room.history_visibility",
            {"history_visibility": "joined", "x": 1},
            {"history_visibility": "joined"},
            {"history_visibility": "joined"},
        ),
        ("m.room.redaction", {"redacts": "$x", "reason": "y"}, {}, {"redacts": "$x"}),
        ("m.room.aliases", {"aliases": ["#x:y"]}, {}, {}),
    ],
)
def test_contents(type: str, content: JsonObject, kept_10: JsonObject, kept_11: JsonObject) -> None:
    event: JsonObject = {"type": type, "content": content}
    assert redact(event, V10)["content"] == kept_10
    assert redact(event, V11)["content"] == kept_11
    assert redact(event, V12)["content"] == kept_11


@pytest.mark.parametrize("version", ROOM_VERSIONS.values())
@given(event=json_values.objects, type=json_values.values, content=json_values.values)
def test_is_total_and_done_once(
    version: RoomVersion, event: JsonObject, type: object, content: object
) -> None:
    hostile: JsonObject = {**event, "type": type, "content": content}
    once = redact(hostile, version)
    assert redact(once, version) == once
    assert isinstance(once["content"], dict)
