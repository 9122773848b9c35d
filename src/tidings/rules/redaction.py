"""What redaction leaves of an event.

Source: room versions 10 and 11, "Redactions"; version 12 redacts as 11 does.
"""

import msgspec

from tidings.protocol.canonical_json import encode_canonical
from tidings.protocol.events import JsonObject
from tidings.protocol.room_versions import RoomVersion


def redact(event: JsonObject, version: RoomVersion) -> JsonObject:
    """A redacted copy of an event, in the federation or the client format."""
    rules = version.redaction
    kept = {key: value for key, value in event.items() if key in rules.event_keys}
    if "content" in kept:
        content, event_type = event["content"], event.get("type")
        kept["content"] = {}
        if isinstance(content, dict) and isinstance(event_type, str):
            kept["content"] = redact_content(event_type, content, version)
    return kept


def redact_content(event_type: str, content: JsonObject, version: RoomVersion) -> JsonObject:
    """What is left of the content of an event of the type."""
    rules = version.redaction
    if event_type in rules.types_kept_whole:
        return content
    kept_keys = rules.content_keys.get(event_type)
    if kept_keys is None:
        return {}
    kept = {key: value for key, value in content.items() if key in kept_keys}
    invite = content.get("third_party_invite")
    if rules.keeps_signed_invite and event_type == "m.room.member" and isinstance(invite, dict):
        kept["third_party_invite"] = {key: invite[key] for key in ("signed",) if key in invite}
    return kept


def redact_client_json(json: bytes, version: RoomVersion) -> bytes:
    """The redacted client format of an event stored as `Event.json`."""
    event = msgspec.json.decode(json, type=dict[str, object])
    kept = redact(event, version)
    content = kept.get("content")
    if event.get("type") == "m.room.redaction" and isinstance(content, dict) and content:
        kept["redacts"] = content["redacts"]  # where older clients look for it
    return encode_canonical(kept)
