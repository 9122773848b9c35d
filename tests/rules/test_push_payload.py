import pytest

from tests.rules.fakes import event
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId
from tidings.rules.push_payload import (
    Device,
    Setting,
    badge_notification,
    event_payload,
    notification,
)

BOB = UserId("@bob:here")
EVENT = event("m.room.message", "@alice:here", {"body": "hello"})
DEVICE = Device("app", "key", 1_700_000_000_999, {"url": "https://gateway", "more": [1]})
SHOWN = {"app_id": "app", "pushkey": "key", "pushkey_ts": 1_700_000_000, "data": {"more": [1]}}


def test_an_event_in_full() -> None:
    told = event_payload(EVENT, BOB, Setting("Alice", "Garden", "#garden:here"), {})
    assert notification(told, DEVICE, {}, 3) == {
        "notification": {
            "event_id": EVENT.event_id,
            "room_id": EVENT.room_id,
            "type": "m.room.message",
            "sender": "@alice:here",
            "sender_display_name": "Alice",
            "room_name": "Garden",
            "room_alias": "#garden:here",
            "content": {"body": "hello"},
            "prio": "low",
            "counts": {"unread": 3},
            "devices": [SHOWN],
        }
    }


def test_what_is_not_known_is_absent() -> None:
    told = event_payload(EVENT, BOB, Setting(), {})
    assert not {"sender_display_name", "room_name", "room_alias", "user_is_target"} & told.keys()


def test_an_event_by_its_id() -> None:
    told = event_payload(EVENT, BOB, Setting("Alice", "Garden"), {})
    device = Device("app", "key", 0, {"url": "https://gateway", "format": "event_id_only"})
    shown = notification(told, device, {"sound": "ring"}, 0)["notification"]
    assert shown == {
        "event_id": EVENT.event_id,
        "room_id": EVENT.room_id,
        "prio": "low",
        "counts": {},
        "devices": [
            {
                "app_id": "app",
                "pushkey": "key",
                "pushkey_ts": 0,
                "data": {"format": "event_id_only"},
                "tweaks": {"sound": "ring"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("type", "tweaks", "prio"),
    [
        ("m.room.message", {}, "low"),
        ("m.room.message", {"flash": True}, "low"),
        ("m.room.message", {"sound": "ring"}, "high"),
        ("m.room.message", {"highlight": True}, "high"),
        ("m.room.encrypted", {}, "high"),
    ],
)
def test_priority(type: str, tweaks: JsonObject, prio: str) -> None:
    assert event_payload(event(type, "@alice:here", {}), BOB, Setting(), tweaks)["prio"] == prio


@pytest.mark.parametrize(("state_key", "is_target"), [("@bob:here", True), ("@carol:here", False)])
def test_whom_a_membership_is_of(state_key: str, is_target: bool) -> None:
    content: JsonObject = {"membership": "invite"}
    member = event("m.room.member", "@alice:here", content, state_key)
    assert event_payload(member, BOB, Setting(), {})["user_is_target"] is is_target


def test_a_count_alone_says_zero() -> None:
    shown = {"prio": "low", "counts": {"unread": 0}, "devices": [SHOWN]}
    assert badge_notification(DEVICE, 0) == {"notification": shown}
