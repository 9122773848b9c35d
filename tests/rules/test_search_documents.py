import pytest

from tidings.protocol.events import JsonObject
from tidings.rules.search_documents import room_label, searchable_text, sender_label, type_label

REPLY: JsonObject = {"m.in_reply_to": {"event_id": "$a"}}


@pytest.mark.parametrize(
    ("type", "content", "expected"),
    [
        ("m.room.message", {"body": "hello"}, "hello"),
        ("m.room.message", {"body": 7}, None),
        ("m.room.message", {}, None),
        ("m.room.message", {"body": "* b", "m.relates_to": {
            "rel_type": "m.replace", "event_id": "$a"}}, None),
        ("m.room.message", {"body": "> <@a:b> old\n> more\n\nnew", "m.relates_to": REPLY}, "new"),
        ("m.room.message", {"body": "> quoted\n\nmine"}, "> quoted\n\nmine"),
        ("m.room.message", {"body": "> all quoted", "m.relates_to": REPLY}, "> all quoted"),
        ("m.room.name", {"name": "Den"}, "Den"),
        ("m.room.topic", {"topic": "Talk"}, "Talk"),
        ("m.room.topic", {"topic": "Talk", "m.topic": {"m.text": [
            {"body": "<b>Talk</b>", "mimetype": "text/html"}, {"body": "Plain talk"}]}},
         "Talk\nPlain talk"),
        ("m.room.topic", {"m.topic": {"m.text": "no list"}}, None),
        ("m.room.encrypted", {"body": "secret"}, None),
    ],
)  # fmt: skip
def test_the_text_that_is_searched(type: str, content: JsonObject, expected: str | None) -> None:
    assert searchable_text(type, content) == expected


def test_labels_are_no_words_and_differ() -> None:
    labels = [room_label("!a"), room_label("!b"), sender_label("!a"), type_label("m.room.name")]
    assert len(set(labels)) == 4
    assert all(label.startswith("·") and label[1:].isalnum() for label in labels)
