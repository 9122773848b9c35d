"""The room versions this server speaks, as differences a reader can compare.

Versions 10 to 12 share state resolution and strict canonical JSON; what
differs between them is named by the flags here, and nowhere else is a
version compared by its id. Source: Matrix specification, "Room versions".
"""

from collections.abc import Mapping

import msgspec

from tidings.protocol.errors import UnsupportedRoomVersion


class RedactionRules(msgspec.Struct, frozen=True):
    """What the redaction algorithm leaves of an event."""

    event_keys: frozenset[str]
    content_keys: Mapping[str, frozenset[str]]
    """Content keys kept, by event type; other types lose all of theirs."""
    types_kept_whole: frozenset[str] = frozenset()
    keeps_signed_invite: bool = False
    """Whether members keep the `signed` key of their `third_party_invite`."""


class RoomVersion(msgspec.Struct, frozen=True):
    """One version of the rules a room lives by, for as long as it lives."""

    id: str
    redaction: RedactionRules
    is_stable: bool = True
    creator_in_content: bool = False
    """Whether `m.room.create` names its creator in its content."""
    redacts_in_content: bool = True
    """Whether `redacts` is kept in the content, not beside it."""
    room_id_is_create_hash: bool = False
    creators_have_infinite_power: bool = False
    auth_events_omit_create: bool = False


_EVENT_KEYS = frozenset(
    {
        "event_id",
        "type",
        "room_id",
        "sender",
        "state_key",
        "content",
        "hashes",
        "signatures",
        "depth",
        "prev_events",
        "auth_events",
        "origin_server_ts",
    }
)
_MEMBER_KEYS = frozenset({"membership", "join_authorised_via_users_server"})
_JOIN_RULES_KEYS = frozenset({"join_rule", "allow"})
_POWER_LEVELS_KEYS = frozenset(
    {
        "ban",
        "events",
        "events_default",
        "kick",
        "redact",
        "state_default",
        "users",
        "users_default",
    }
)
_HISTORY_VISIBILITY_KEYS = frozenset({"history_visibility"})

_REDACTION_V9 = RedactionRules(
    event_keys=_EVENT_KEYS | {"prev_state", "origin", "membership"},
    content_keys={
        "m.room.member": _MEMBER_KEYS,
        "m.room.create": frozenset({"creator"}),
        "m.room.join_rules": _JOIN_RULES_KEYS,
        "m.room.power_levels": _POWER_LEVELS_KEYS,
        "m.room.history_visibility": _HISTORY_VISIBILITY_KEYS,
    },
)
_REDACTION_V11 = RedactionRules(
    event_keys=_EVENT_KEYS,
    content_keys={
        "m.room.member": _MEMBER_KEYS,
        "m.room.join_rules": _JOIN_RULES_KEYS,
        "m.room.power_levels": _POWER_LEVELS_KEYS | {"invite"},
        "m.room.history_visibility": _HISTORY_VISIBILITY_KEYS,
        "m.room.redaction": frozenset({"redacts"}),
    },
    types_kept_whole=frozenset({"m.room.create"}),
    keeps_signed_invite=True,
)

ROOM_VERSIONS: Mapping[str, RoomVersion] = {
    "10": RoomVersion("10", _REDACTION_V9, creator_in_content=True, redacts_in_content=False),
    "11": RoomVersion("11", _REDACTION_V11),
    "12": RoomVersion(
        "12",
        _REDACTION_V11,
        room_id_is_create_hash=True,
        creators_have_infinite_power=True,
        auth_events_omit_create=True,
    ),
}


def get_room_version(text: object) -> RoomVersion:
    """The version of that id; raises UnsupportedRoomVersion."""
    version = ROOM_VERSIONS.get(text) if isinstance(text, str) else None
    if version is None:
        raise UnsupportedRoomVersion(
            f"This server supports the room versions {', '.join(ROOM_VERSIONS)}"
        )
    return version
