import msgspec

from tests.rules.fakes import ALICE, event
from tidings.protocol.events import Event
from tidings.protocol.ids import EventId


def replacing(old: bytes) -> Event:
    new = event("m.room.name", ALICE, {"name": "new"}, "")
    return msgspec.structs.replace(
        new, replaced_json=old, replaced_id=EventId("$old"), replaced_sender=ALICE
    )


def test_content_is_read_from_the_stored_json() -> None:
    assert event("m.room.message", ALICE, {"body": "hi", "n": [1]}).content == {
        "body": "hi",
        "n": [1],
    }


def test_content_is_read_once() -> None:
    message = event("m.room.message", ALICE, {"body": "hi"})
    assert message.content is message.content


def test_an_event_that_replaced_nothing_tells_nothing_of_it() -> None:
    assert event("m.room.name", ALICE, {}, "").replaced_members == b""


def test_a_state_event_tells_what_it_replaced() -> None:
    members = replacing(b'{"type":"m.room.name","content":{"name": "old"}}').replaced_members
    assert msgspec.json.decode(b"{" + members + b"}") == {
        "prev_content": {"name": "old"},
        "prev_sender": ALICE,
        "replaces_state": "$old",
    }


def test_replaced_content_is_passed_on_byte_for_byte() -> None:
    content = b'{"b": 1,\n "a": 1.50}'
    assert content in replacing(b'{"content":' + content + b"}").replaced_members
