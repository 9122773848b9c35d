from typing import Any

import msgspec

from tests.rules.fakes import ALICE, BOB, ROOM, event
from tidings.protocol.events import Event
from tidings.protocol.ids import DeviceId
from tidings.rules.presentation import Bundle, View, client_event, json_array

PHONE, LAPTOP = DeviceId("PHONE"), DeviceId("LAPTOP")
BY_BOB = View(BOB, PHONE, now_ms=51)


def message(**changes: object) -> Event:
    plain = event("m.room.message", ALICE, {"body": "hi"}, position=1)
    return msgspec.structs.replace(plain, json=b'{"content":{"body":"hi"}}', **changes)


def shown(event: Event, view: View = BY_BOB, bundle: Bundle | None = None) -> dict[str, Any]:
    json = client_event(event, view) if bundle is None else client_event(event, view, bundle)
    return msgspec.json.decode(json, type=dict[str, Any])


def test_an_event_names_its_room_and_its_age() -> None:
    assert shown(message()) == {
        "content": {"body": "hi"},
        "room_id": ROOM,
        "unsigned": {"age": 50},
    }


def test_a_sync_does_not_name_the_room() -> None:
    assert "room_id" not in shown(message(), View(BOB, PHONE, now_ms=51, room_id=False))


def test_an_event_of_the_future_has_no_negative_age() -> None:
    assert shown(message(origin_server_ts=99))["unsigned"]["age"] == 0


def test_a_transaction_id_is_shown_to_the_device_that_chose_it_only() -> None:
    sent = message(device_id=PHONE, txn_id='"quoted"\n')
    own = shown(sent, View(ALICE, PHONE, now_ms=1))
    assert own["unsigned"]["transaction_id"] == '"quoted"\n'
    for user_id, device_id in ((ALICE, LAPTOP), (BOB, PHONE)):
        assert "transaction_id" not in shown(sent, View(user_id, device_id, 1))["unsigned"]


def test_what_an_event_replaced_is_shown() -> None:
    replaced = message(
        replaced_json=b'{"content":{"a":1}}', replaced_id="$old", replaced_sender=BOB
    )
    assert shown(replaced)["unsigned"] == {
        "age": 50,
        "prev_content": {"a": 1},
        "prev_sender": BOB,
        "replaces_state": "$old",
    }


def test_what_others_say_of_an_event_is_bundled() -> None:
    bundle = Bundle(relations=b'{"m.thread":{}}', redacted_because=b'{"type":"r"}')
    assert shown(message(), bundle=bundle)["unsigned"] == {
        "age": 50,
        "redacted_because": {"type": "r"},
        "m.relations": {"m.thread": {}},
    }


def test_the_viewers_membership_is_shown_where_it_is_known() -> None:
    json = client_event(message(), BY_BOB, membership="invite")
    assert msgspec.json.decode(json)["unsigned"]["membership"] == "invite"


def test_encoded_values_make_an_array() -> None:
    assert json_array([]) == b"[]"
    assert json_array([b"1", b"{}"]) == b"[1,{}]"
