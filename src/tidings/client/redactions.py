"""What a redaction takes from the events a client already has.

A server tells only of the redaction itself; whoever holds the redacted event has to prune it.
Source: client-server API, "Redactions".
"""

from tidings.protocol.errors import UnsupportedRoomVersion
from tidings.protocol.events import JsonObject
from tidings.protocol.room_versions import RoomVersion, get_room_version
from tidings.rules.redaction import redact

_LATEST = "12"


def find_redactions(events: list[JsonObject]) -> dict[str, JsonObject]:
    """The redaction events among these by the id of what they redact."""
    return {
        target: event
        for event in events
        if event.get("type") == "m.room.redaction" and (target := _redacted_id(event))
    }


def _redacted_id(redaction: JsonObject) -> str | None:
    content = redaction.get("content")
    inner = content.get("redacts") if isinstance(content, dict) else None
    target = inner or redaction.get("redacts")  # beside the content before version 11
    return target if isinstance(target, str) else None


def redacted(
    event: JsonObject, redactions: dict[str, JsonObject], version_id: object
) -> JsonObject:
    """The event as it is after these redactions."""
    redaction = redactions.get(str(event.get("event_id")))
    if redaction is None or is_redacted(event):
        return event
    pruned = redact(event, _version(version_id))
    return {**pruned, "unsigned": {"redacted_because": redaction}}


def is_redacted(event: JsonObject) -> bool:
    """Whether the event has lost its content."""
    unsigned = event.get("unsigned")
    return isinstance(unsigned, dict) and "redacted_because" in unsigned


def _version(version_id: object) -> RoomVersion:
    """The room's own rules; the newest for a version that is unknown here."""
    try:
        return get_room_version(version_id)
    except UnsupportedRoomVersion:
        return get_room_version(_LATEST)
