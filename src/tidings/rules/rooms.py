"""What a new room begins with.

Events come in the order the spec prescribes; an event that a later one would
overwrite at once is left out. Source: client-server API, `POST /createRoom`.
"""

from collections.abc import Iterator, Mapping

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import RoomAlias, RoomId, UserId, is_user_id
from tidings.protocol.room_versions import RoomVersion

_CREATOR_LEVEL = 100
_TOMBSTONE_ABOVE_ADMINISTRATORS = 150


class InitialState(msgspec.Struct, frozen=True):
    """A state event the creator asks for."""

    type: str
    content: JsonObject
    state_key: str = ""


class NewRoom(msgspec.Struct, frozen=True, kw_only=True):
    """A room somebody wants to create."""

    room_id: RoomId
    """Empty in the room versions that make it from the first event."""
    version: RoomVersion
    creator: UserId
    visibility: str = "private"
    preset: str | None = None
    name: str | None = None
    topic: str | None = None
    canonical_alias: RoomAlias | None = None
    invite: tuple[UserId, ...] = ()
    is_direct: bool = False
    initial_state: tuple[InitialState, ...] = ()
    creation_content: JsonObject = {}
    power_level_content_override: JsonObject = {}
    profiles: Mapping[UserId, JsonObject] = {}
    """The `displayname` and `avatar_url` that creator and invited users have."""


class _Preset(msgspec.Struct, frozen=True):
    join_rule: str
    guest_access: str
    invite_level: int
    is_trusting: bool = False
    """Whether everybody invited is as powerful as the creator."""


_PRESETS: Mapping[str, _Preset] = {
    "private_chat": _Preset("invite", "can_join", 0),
    "trusted_private_chat": _Preset("invite", "can_join", 0, is_trusting=True),
    "public_chat": _Preset("public", "forbidden", 50),
}
_PRESET_OF_VISIBILITY = {"private": "private_chat", "public": "public_chat"}


def initial_events(cmd: NewRoom) -> list[Draft]:
    """The events of a new room, in order; raises InvalidParam for what no room can begin with.

    Where the room's id is made from the first event, all drafts carry `cmd.room_id`
    until that event is built.
    """
    preset = _preset_of(cmd)
    drafts = [
        _draft(cmd, "m.room.create", _create_content(cmd, preset)),
        _draft(cmd, "m.room.member", _member_content(cmd, cmd.creator, "join"), cmd.creator),
        _draft(cmd, "m.room.power_levels", _power_levels_content(cmd, preset)),
    ]
    if cmd.canonical_alias is not None:
        drafts.append(_draft(cmd, "m.room.canonical_alias", {"alias": cmd.canonical_alias}))
    drafts.extend(_without_overwritten(_chosen_state(cmd, preset)))
    drafts.extend(
        _draft(cmd, "m.room.member", _member_content(cmd, user_id, "invite"), user_id)
        for user_id in dict.fromkeys(cmd.invite)
    )
    return drafts


def _preset_of(cmd: NewRoom) -> _Preset:
    if cmd.visibility not in _PRESET_OF_VISIBILITY:
        raise InvalidParam("visibility must be public or private")
    preset = _PRESETS.get(cmd.preset or _PRESET_OF_VISIBILITY[cmd.visibility])
    if preset is None:
        raise InvalidParam(f"preset must be one of {', '.join(_PRESETS)}")
    return preset


def _create_content(cmd: NewRoom, preset: _Preset) -> JsonObject:
    content = {**cmd.creation_content, "room_version": cmd.version.id}
    content.pop("creator", None)
    if cmd.version.creator_in_content:
        content["creator"] = cmd.creator
    if cmd.version.creators_have_infinite_power:
        others = _additional_creators(cmd, preset)
        content.pop("additional_creators", None)
        if others:
            content["additional_creators"] = others
    return content


def _additional_creators(cmd: NewRoom, preset: _Preset) -> list[object]:
    named = cmd.creation_content.get("additional_creators", [])
    if not isinstance(named, list) or not all(map(is_user_id, named)):
        raise InvalidParam("additional_creators must be a list of user ids")
    trusted = cmd.invite if preset.is_trusting else ()
    return [user_id for user_id in dict.fromkeys([*named, *trusted]) if user_id != cmd.creator]


def _power_levels_content(cmd: NewRoom, preset: _Preset) -> JsonObject:
    content: JsonObject = {
        "users": _powerful_users(cmd, preset),
        "users_default": 0,
        "events": {
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.encryption": 100,
            "m.room.history_visibility": 100,
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": 100,
        },
        "events_default": 0,
        "state_default": 50,
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": preset.invite_level,
        "notifications": {"room": 50},
        **cmd.power_level_content_override,
    }
    events = content["events"]
    if cmd.version.creators_have_infinite_power and isinstance(events, dict):
        # Only creators may close a room, unless the client says otherwise.
        asked = cmd.power_level_content_override.get("events")
        level = asked.get("m.room.tombstone") if isinstance(asked, dict) else None
        content["events"] = {
            **events,
            "m.room.tombstone": _TOMBSTONE_ABOVE_ADMINISTRATORS if level is None else level,
        }
    return content


def _powerful_users(cmd: NewRoom, preset: _Preset) -> JsonObject:
    if cmd.version.creators_have_infinite_power:
        return {}  # the creators, and nobody may list them
    powerful = (cmd.creator, *cmd.invite) if preset.is_trusting else (cmd.creator,)
    return dict.fromkeys(powerful, _CREATOR_LEVEL)


def _chosen_state(cmd: NewRoom, preset: _Preset) -> Iterator[Draft]:
    yield _draft(cmd, "m.room.join_rules", {"join_rule": preset.join_rule})
    yield _draft(cmd, "m.room.history_visibility", {"history_visibility": "shared"})
    yield _draft(cmd, "m.room.guest_access", {"guest_access": preset.guest_access})
    for state in cmd.initial_state:
        yield _draft(cmd, state.type, state.content, state.state_key)
    if cmd.name is not None:
        yield _draft(cmd, "m.room.name", {"name": cmd.name})
    if cmd.topic is not None:
        text = {"mimetype": "text/plain", "body": cmd.topic}
        yield _draft(cmd, "m.room.topic", {"topic": cmd.topic, "m.topic": {"m.text": [text]}})


def _without_overwritten(drafts: Iterator[Draft]) -> list[Draft]:
    listed = list(drafts)
    last = {(draft.type, draft.state_key): draft for draft in listed}
    return [draft for draft in listed if last[draft.type, draft.state_key] is draft]


def _member_content(cmd: NewRoom, user_id: UserId, membership: str) -> JsonObject:
    content = {**cmd.profiles.get(user_id, {}), "membership": membership}
    if cmd.is_direct and membership == "invite":
        content["is_direct"] = True
    return content


def _draft(cmd: NewRoom, type: str, content: JsonObject, state_key: str = "") -> Draft:
    return Draft(cmd.room_id, type, cmd.creator, content, state_key)
