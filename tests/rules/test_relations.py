from typing import cast

import msgspec
import pytest
from hypothesis import given

from tests import json_values
from tests.rules.fakes import ALICE, BOB, event
from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import EventId, RoomId
from tidings.rules.relations import edited_content, find_latest_edit, is_valid_edit, relation_of

NOTHING = (None, None, None)


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ({"event_id": "$x", "rel_type": "m.thread"}, ("$x", "m.thread", "$x")),
        ({"event_id": "$x", "rel_type": "m.annotation", "key": "+"}, ("$x", "m.annotation", None)),
        ({"m.in_reply_to": {"event_id": "$x"}}, NOTHING),
        ({"event_id": "$x"}, NOTHING),
        ({"rel_type": "m.thread"}, NOTHING),
        ({"event_id": 5, "rel_type": "m.thread"}, NOTHING),
        ({"event_id": "$x", "rel_type": ["m.thread"]}, NOTHING),
        ({"event_id": "$" * 256, "rel_type": "m.thread"}, NOTHING),
        ({"event_id": "$x\0", "rel_type": "m.thread"}, NOTHING),
        ({"event_id": "$x", "rel_type": "m.\0"}, NOTHING),
        (None, NOTHING),
        ([], NOTHING),
        ("m.thread", NOTHING),
    ],
)
def test_relations(relation: object, expected: tuple[str | None, ...]) -> None:
    assert relation_of({"m.relates_to": relation}) == expected


@given(json_values.objects, json_values.values)
def test_reading_is_total(content: JsonObject, relation: object) -> None:
    relation_of(content)
    relation_of({"m.relates_to": relation})


ORIGINAL = event("m.room.message", ALICE, {"body": "cake"}, position=1)


def edit(**changes: object) -> Event:
    content: object = {
        "body": "* pie",
        "m.new_content": {"body": "pie"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": ORIGINAL.event_id},
    }
    content = changes.pop("content", content)
    made = event("m.room.message", ALICE, cast("JsonObject", content), position=2)
    return msgspec.structs.replace(made, **changes)


def test_an_edit() -> None:
    assert is_valid_edit(ORIGINAL, edit())


@pytest.mark.parametrize(
    "changes",
    [
        {"room_id": RoomId("!other")},
        {"sender": BOB},
        {"type": "m.sticker"},
        {"state_key": ""},
        {"redacted_by": EventId("$r")},
        {"content": {}},
        {"content": {"m.relates_to": {"rel_type": "m.replace", "event_id": "$1"}}},
        {
            "content": {
                "m.new_content": {},
                "m.relates_to": {"rel_type": "m.replace", "event_id": "$other"},
            }
        },
        {
            "content": {
                "m.new_content": {},
                "m.relates_to": {"rel_type": "m.thread", "event_id": "$1"},
            }
        },
    ],
)
def test_what_is_no_edit(changes: dict[str, object]) -> None:
    assert not is_valid_edit(ORIGINAL, edit(**changes))


def test_what_cannot_be_edited() -> None:
    assert not is_valid_edit(msgspec.structs.replace(ORIGINAL, state_key=""), edit())
    redacted = msgspec.structs.replace(ORIGINAL, redacted_by=EventId("$r"))
    assert not is_valid_edit(redacted, edit())
    first = edit()
    onto_edit = edit(
        content={
            "m.new_content": {},
            "m.relates_to": {"rel_type": "m.replace", "event_id": first.event_id},
        }
    )
    assert not is_valid_edit(first, onto_edit)


def test_new_content_of_encrypted_edits_is_hidden() -> None:
    original = msgspec.structs.replace(ORIGINAL, type="m.room.encrypted")
    relation = {"rel_type": "m.replace", "event_id": original.event_id}
    encrypted = edit(type="m.room.encrypted", content={"m.relates_to": relation})
    assert is_valid_edit(original, encrypted)


def test_the_latest_edit_is_by_time_then_id() -> None:
    def at(ts: int, event_id: str) -> Event:
        return edit(origin_server_ts=ts, event_id=EventId(event_id))

    early, late, same_time = at(1, "$z"), at(2, "$a"), at(2, "$b")
    forged = edit(origin_server_ts=9, sender=BOB)
    assert find_latest_edit(ORIGINAL, [early, same_time, late, forged]) is same_time
    assert find_latest_edit(ORIGINAL, [forged]) is None
    assert find_latest_edit(ORIGINAL, []) is None


def test_edited_content_keeps_the_relations_of_the_original() -> None:
    original: JsonObject = {"body": "cake", "formatted_body": "x", "m.relates_to": {"key": "old"}}
    new = {"body": "pie", "m.relates_to": {"key": "new"}}
    assert edited_content(original, {"m.new_content": new}) == {
        "body": "pie",
        "m.relates_to": {"key": "old"},
    }
    assert edited_content({"body": "cake"}, {"m.new_content": new}) == {"body": "pie"}
    assert edited_content(original, {}) == original
