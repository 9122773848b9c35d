"""How events relate to each other: threads, edits and what they replace.

Source: client-server API, "Forming relationships between events",
"Event replacements" and "Threading".
"""

from collections.abc import Iterable

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import ID_BYTES_MAX, EventId

REPLACEMENT = "m.replace"
THREAD = "m.thread"


def relation_of(content: JsonObject) -> tuple[EventId | None, str | None, EventId | None]:
    """The event related to, how, and the root of the thread the relation puts an event in."""
    relation = content.get("m.relates_to")
    if not isinstance(relation, dict):
        return None, None, None
    event_id, rel_type = relation.get("event_id"), relation.get("rel_type")
    if not isinstance(event_id, str) or not isinstance(rel_type, str):
        return None, None, None
    if max(len(event_id), len(rel_type)) > ID_BYTES_MAX or "\0" in event_id + rel_type:
        return None, None, None
    target = EventId(event_id)
    return target, rel_type, target if rel_type == THREAD else None


def is_valid_edit(original: Event, edit: Event) -> bool:
    """Whether the second event may replace the content of the first."""
    target, rel_type, _ = relation_of(edit.content)
    return (
        rel_type == REPLACEMENT
        and target == original.event_id
        and edit.room_id == original.room_id
        and edit.sender == original.sender
        and edit.type == original.type
        and edit.state_key is None
        and original.state_key is None
        and original.redacted_by is None
        and edit.redacted_by is None
        and relation_of(original.content)[1] != REPLACEMENT
        and _has_new_content(edit)
    )


def find_latest_edit(original: Event, edits: Iterable[Event]) -> Event | None:
    """The edit to bundle with an event: the most recent valid one, whole."""
    valid = (edit for edit in edits if is_valid_edit(original, edit))
    return max(valid, key=lambda edit: (edit.origin_server_ts, edit.event_id), default=None)


def edited_content(original: JsonObject, edit: JsonObject) -> JsonObject:
    """The content of an event with an edit applied; relations stay as they were."""
    new = edit.get("m.new_content")
    if not isinstance(new, dict):
        return original
    content = {key: value for key, value in new.items() if key != "m.relates_to"}
    if "m.relates_to" in original:
        content["m.relates_to"] = original["m.relates_to"]
    return content


def _has_new_content(edit: Event) -> bool:
    # In an encrypted event it is out of our sight, within the payload.
    return edit.type == "m.room.encrypted" or isinstance(edit.content.get("m.new_content"), dict)
