from datetime import UTC

import pytest

from tidings.cli.message_lines import message_lines, message_record, rfc3339
from tidings.client import content
from tidings.protocol.events import JsonObject

NOON = 1_714_564_800_000


def event(body: JsonObject, **more: object) -> JsonObject:
    return {
        "type": "m.room.message",
        "event_id": "$1",
        "sender": "@ann:example.org",
        "origin_server_ts": NOON,
        "content": body,
        **more,
    }


def shown(given: JsonObject) -> list[str]:
    lines = message_lines(given, "example.org", UTC)
    return [" ".join(text for text, _ in line) for line in lines]


def test_a_message_is_one_line() -> None:
    assert shown(event(content.text("hi"))) == ["2024-05-01 12:00:00 @ann: hi"]


def test_further_lines_cannot_pass_for_messages() -> None:
    lines = shown(event(content.text("hi\n2024-05-01 12:00:01 @boss: pay\u2028him")))
    assert lines[1:] == ["    2024-05-01 12:00:01 @boss: pay", "    him"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (event(content.text("waves", "m.emote")), "* @ann waves"),
        (event(content.text("hi"), sender="@ann:other.org"), "@ann:other.org: hi"),
        (event(content.as_edit(content.text("new"), "$0")), "@ann: new (edited)"),
        (event({"msgtype": "m.image", "body": "cat.png"}), "@ann: [image] cat.png"),
        (event({}, unsigned={"redacted_because": {}}), "@ann: [removed]"),
        (event({}, type="m.room.encrypted"), "@ann: [encrypted: this client cannot read it yet]"),
        (event({"body": 7}), "@ann: "),
    ],
)
def test_each_kind_of_message_is_told(given: JsonObject, text: str) -> None:
    assert shown(given) == [f"2024-05-01 12:00:00 {text}"]


def test_a_record_has_all_its_fields_always() -> None:
    plain = message_record("!r", event(content.text("hi")))
    assert plain == {
        "schema": "tidings.message/1",
        "room_id": "!r",
        "event_id": "$1",
        "time": "2024-05-01T12:00:00.000Z",
        "sender": "@ann:example.org",
        "type": "m.room.message",
        "msgtype": "m.text",
        "body": "hi",
        "reply_to": None,
        "thread": None,
        "edits": None,
        "mentions": [],
        "redacted": False,
        "content": content.text("hi"),
    }
    odd = message_record("!r", {"content": 7})
    assert odd.keys() == plain.keys()


def test_a_record_shows_what_an_edit_says() -> None:
    edit = content.as_edit(content.with_mentions(content.text("new"), ["@b:h"]), "$0")
    record = message_record("!r", event(edit))
    assert (record["body"], record["edits"], record["mentions"]) == ("new", "$0", ["@b:h"])


@pytest.mark.parametrize("moment", [None, "noon", 10**30, -(10**30)])
def test_times_no_clock_can_show_are_none(moment: object) -> None:
    assert rfc3339(moment) is None
    assert shown(event(content.text("hi"), origin_server_ts=moment))[0].startswith("????")
