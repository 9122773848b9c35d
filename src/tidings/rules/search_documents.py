"""Which events are found by searching, and by which of their words.

Encrypted events are not: what is in them is none of the server's business.
Source: client-server API, "Server Side Search".
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

from tidings.protocol.events import Event, JsonObject
from tidings.rules.relations import REPLACEMENT, edited_content, relation_of
from tidings.rules.search_tokens import JOINT, tokens

MESSAGE, NAME, TOPIC = "m.room.message", "m.room.name", "m.room.topic"
KEYS = {"content.body": MESSAGE, "content.name": NAME, "content.topic": TOPIC}
"""The keys that a search may name, and the events that have them."""
TYPES = tuple(KEYS.values())


def current_text(event: Event, edit: Event | None) -> str | None:
    """What an event says now, edited or not; None for one that is not to be found."""
    if event.redacted_by is not None:
        return None
    content = event.content
    if edit is not None:
        if edit.redacted_by is not None:
            return None
        content = edited_content(content, edit.content)
    return searchable_text(event.type, content)


def searchable_text(type: str, content: JsonObject) -> str | None:
    """The text of an event's content that can be searched."""
    match type:
        case "m.room.message":
            text = content.get("body")
            if relation_of(content)[1] == REPLACEMENT:
                return None  # it is found as what it edits
            return _without_quote(text, content) if isinstance(text, str) else None
        case "m.room.name":
            text = content.get("name")
            return text if isinstance(text, str) else None
        case "m.room.topic":
            parts = dict.fromkeys([content.get("topic"), *_plain_texts(content.get("m.topic"))])
            return "\n".join(part for part in parts if isinstance(part, str)) or None
        case _:
            return None


def document_tokens(event: Event, text: str) -> str:
    """The tokens of an event as one line, with labels for its room, sender and type."""
    labels = {room_label(event.room_id), sender_label(event.sender), type_label(event.type)}
    return " ".join(tokens(text) | labels)


def room_label(room_id: str) -> str:
    """The token that all events of a room have."""
    return _label("r", room_id)


def sender_label(user_id: str) -> str:
    """The token that all events of a sender have."""
    return _label("s", user_id)


def type_label(type: str) -> str:
    """The token that all events of a type have."""
    return f"{JOINT}t{TYPES.index(type)}"


@lru_cache(maxsize=10_000)
def _label(kind: str, text: str) -> str:
    # Two rooms of one label would cost time, not show anything: rooms are compared by their ids.
    return f"{JOINT}{kind}{blake2b(text.encode(), digest_size=5).hexdigest()}"


def _without_quote(body: str, content: JsonObject) -> str:
    """The text of a reply without the lines that older clients repeat before it."""
    relation = content.get("m.relates_to")
    if not body.startswith("> ") or not isinstance(relation, dict):
        return body
    if "m.in_reply_to" not in relation:
        return body
    lines = body.split("\n")
    while lines and lines[0].startswith("> "):
        del lines[0]
    return "\n".join(lines).lstrip("\n") or body


def _plain_texts(topic: object) -> Iterable[object]:
    parts = topic.get("m.text") if isinstance(topic, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("mimetype", "text/plain") == "text/plain":
            yield part.get("body")
