from typing import Any

import msgspec

from tests.rules.fakes import ALICE, BOB, ROOM, event
from tidings.protocol.ids import EventId, StreamPosition, UserId
from tidings.rules import sync
from tidings.rules.stream import PresenceChanged, ReceiptMoved


def read(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])


def receipt(
    user: UserId, event_id: str = "$1", kind: str = "m.read", thread: str = ""
) -> ReceiptMoved:
    return ReceiptMoved(
        position=StreamPosition(9),
        room_id=ROOM,
        user_id=user,
        receipt_type=kind,
        thread_id=thread,
        event_id=EventId(event_id),
        event_position=StreamPosition(1),
        loud=0,
        ts=5,
    )


def test_an_answer_without_news_has_its_token_and_no_rooms() -> None:
    update = sync.Update("s7")
    assert not update.has_news
    answer = read(sync.assemble(update))
    assert answer["next_batch"] == "s7"
    assert "rooms" not in answer
    assert "presence" not in answer


def test_a_room_stands_in_the_section_of_its_membership() -> None:
    room = {ROOM: b'{"x":1}'}
    for update, name in (
        (sync.Update("s7", joined=room), "join"),
        (sync.Update("s7", invited=room), "invite"),
        (sync.Update("s7", knocked=room), "knock"),
        (sync.Update("s7", left=room), "leave"),
    ):
        assert update.has_news
        assert read(sync.assemble(update))["rooms"] == {name: {ROOM: {"x": 1}}}


def test_events_outside_rooms_are_listed() -> None:
    events = [b'{"a":1}', b'{"b":2}']
    for update, name in (
        (sync.Update("s7", account_data=events), "account_data"),
        (sync.Update("s7", presence=events), "presence"),
        (sync.Update("s7", to_device=events), "to_device"),
    ):
        assert update.has_news
        assert read(sync.assemble(update))[name] == {"events": [{"a": 1}, {"b": 2}]}


def test_changed_devices_are_news_and_the_counts_of_keys_are_not() -> None:
    changed = sync.Update("s7", device_lists=sync.DeviceLists(changed=[BOB]))
    assert changed.has_news
    assert read(sync.assemble(changed))["device_lists"]["changed"] == [BOB]
    assert not sync.Update("s7").has_news


def test_a_joined_room_tells_counts_and_summary() -> None:
    timeline = sync.Timeline([b'{"type":"m.room.message"}'], limited=True, prev_batch="p")
    room = read(
        sync.assemble_room(
            sync.RoomUpdate(
                timeline,
                counts=sync.Counts(2, 1, {"$t": (4, 3)}),
                summary=sync.summary_of(2, 1, [BOB]),
            )
        )
    )
    assert room["timeline"] == {
        "events": [{"type": "m.room.message"}],
        "limited": True,
        "prev_batch": "p",
    }
    assert room["unread_notifications"] == {"notification_count": 2, "highlight_count": 1}
    assert room["unread_thread_notifications"] == {
        "$t": {"notification_count": 4, "highlight_count": 3}
    }
    assert room["summary"] == {
        "m.joined_member_count": 2,
        "m.invited_member_count": 1,
        "m.heroes": [BOB],
    }


def test_a_left_room_tells_neither_counts_nor_ephemeral_events() -> None:
    room = read(sync.assemble_room(sync.RoomUpdate(sync.Timeline([], False, "p"))))
    assert set(room) == {"timeline", "state", "account_data"}


def test_state_after_the_timeline_has_a_name_of_its_own() -> None:
    update = sync.RoomUpdate(sync.Timeline([], False, "p"), [b'{"a":1}'], state_is_after=True)
    room = read(sync.assemble_room(update))
    assert room["state_after"] == {"events": [{"a": 1}]}
    assert "state" not in room


def test_an_invitation_shows_stripped_state_only() -> None:
    shown = read(
        sync.assemble_stripped(b"invite_state", [event("m.room.name", ALICE, {"name": "x"}, "")])
    )
    assert shown == {
        "invite_state": {
            "events": [
                {
                    "type": "m.room.name",
                    "state_key": "",
                    "sender": ALICE,
                    "content": {"name": "x"},
                }
            ]
        }
    }


def test_receipts_of_one_kind_share_an_event() -> None:
    (body,) = sync.assemble_receipts([receipt(ALICE), receipt(BOB)], ALICE)
    assert read(body) == {
        "type": "m.receipt",
        "content": {"$1": {"m.read": {ALICE: {"ts": 5}, BOB: {"ts": 5}}}},
    }


def test_a_private_receipt_is_its_owners_alone() -> None:
    private = receipt(ALICE, kind="m.read.private")
    assert sync.assemble_receipts([private], BOB) == []
    assert len(sync.assemble_receipts([private], ALICE)) == 1


def test_reading_the_same_event_in_room_and_thread_takes_two_events() -> None:
    first, second = sync.assemble_receipts([receipt(BOB), receipt(BOB, thread="$t")], ALICE)
    assert read(first)["content"]["$1"]["m.read"][BOB] == {"ts": 5}
    assert read(second)["content"]["$1"]["m.read"][BOB] == {"ts": 5, "thread_id": "$t"}


def test_presence_tells_how_long_ago_and_never_a_future() -> None:
    def shown(now_ms: int) -> object:
        change = PresenceChanged(
            position=StreamPosition(3),
            user_id=BOB,
            presence="online",
            status_msg="here",
            last_active_ts=100,
        )
        return read(sync.assemble_presence(change, now_ms))["content"]

    at_150 = {
        "presence": "online",
        "currently_active": True,
        "last_active_ago": 50,
        "status_msg": "here",
    }
    assert shown(150) == at_150
    assert shown(50) == {**at_150, "last_active_ago": 0}


def test_the_latest_state_of_each_key_wins() -> None:
    first = event("m.room.name", ALICE, {"name": "a"}, "", position=1)
    second = event("m.room.name", ALICE, {"name": "b"}, "", position=2)
    other = event("m.room.topic", ALICE, {}, "", position=3)
    message = event("m.room.message", ALICE, {}, position=4)
    assert sync.latest_state([first, second, other, message]) == {
        ("m.room.name", ""): second,
        ("m.room.topic", ""): other,
    }


def test_account_data_keeps_its_content_byte_for_byte() -> None:
    content = b'{"b": 1, "a": 1.0}'
    body = sync.assemble_account_data('m."odd"', content)
    assert read(body)["type"] == 'm."odd"'
    assert content in body
