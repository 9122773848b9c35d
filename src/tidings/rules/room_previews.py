"""What somebody outside a room may learn of it.

Source: client-server API, `GET /hierarchy` and `GET /room_summary`.
"""

from tidings.protocol.events import JsonObject
from tidings.rules.public_rooms import Listed, describe
from tidings.rules.restricted_joins import allowing_rooms
from tidings.rules.room_state import RoomState, join_rule_of

_DESCRIBED = (
    "m.room.create", "m.room.name", "m.room.topic", "m.room.avatar", "m.room.canonical_alias",
    "m.room.join_rules", "m.room.history_visibility", "m.room.guest_access",
)  # fmt: skip
_OPEN = frozenset({"public", "knock", "knock_restricted"})
_MEGOLM = "m.megolm.v1.aes-sha2"


def may_preview(state: RoomState, membership: str) -> bool:
    """Whether the room may be shown; members of allowing rooms may see a restricted one besides."""
    if membership in ("join", "invite"):
        return True
    if membership == "ban":
        return False
    visibility = state.get("m.room.history_visibility", "")
    is_readable = (
        visibility is not None and visibility.content.get("history_visibility") == "world_readable"
    )
    return is_readable or join_rule_of(state) in _OPEN


def describe_room(state: RoomState, members: int) -> JsonObject:
    """The room in the form of the spec's RoomSummary."""
    held = {type_: state.get(type_, "") for type_ in _DESCRIBED}
    contents = {type_: event.content for type_, event in held.items() if event is not None}
    summary = describe(Listed(state.room_id, members), contents)
    summary["room_version"] = state.version.id
    summary["join_rule"] = join_rule_of(state)
    allowing = allowing_rooms(state)
    if allowing:
        summary["allowed_room_ids"] = allowing
    encryption = state.get("m.room.encryption", "")
    if encryption is not None and encryption.content.get("algorithm") == _MEGOLM:
        summary["encryption"] = _MEGOLM
    return summary
