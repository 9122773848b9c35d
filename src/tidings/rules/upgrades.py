"""What a room hands on to the one that replaces it.

Source: client-server API, "Room Upgrades". Bans are handed on as well: who was sent away stays
away. So are the children of a space, which would be empty without them.
"""

from collections.abc import Collection, Iterable

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.protocol.room_versions import RoomVersion
from tidings.rules.room_state import RoomState
from tidings.rules.rooms import InitialState

_TRANSFERRED = (
    "m.room.server_acl", "m.room.encryption", "m.room.name", "m.room.avatar", "m.room.topic",
    "m.room.history_visibility", "m.room.join_rules", "m.room.canonical_alias",
)  # fmt: skip
_HIGHEST_AT_LEAST = 100
_CLOSED_AT_LEAST = 50


def creation_content(
    old: RoomState, last: EventId, version: RoomVersion, creators: Iterable[UserId]
) -> JsonObject:
    """The content of the new room's first event; `creators` are those beside the upgrader."""
    create = old.get("m.room.create", "")
    held = create.content if create else {}
    content: JsonObject = {key: held[key] for key in ("type", "m.federate") if key in held}
    content["predecessor"] = {"room_id": old.room_id, "event_id": last}
    others = list(creators)
    if version.creators_have_infinite_power and others:
        content["additional_creators"] = others
    return content


def transferred_state(old: RoomState, children: Iterable[Event]) -> tuple[InitialState, ...]:
    """State that says the same in the new room; `children` are the child events of a space."""
    state = [
        InitialState(type_, event.content)
        for type_ in _TRANSFERRED
        if (event := old.get(type_, "")) is not None
    ]
    guests = old.get("m.room.guest_access", "")
    access: JsonObject = guests.content if guests else {"guest_access": "forbidden"}
    state.append(InitialState("m.room.guest_access", access))
    state += [InitialState(event.type, event.content, event.state_key or "") for event in children]
    return tuple(state)


def first_levels(old: RoomState, version: RoomVersion, upgrader: UserId) -> JsonObject:
    """What the new room's first power levels say, so that its upgrader may set up everything."""
    if version.creators_have_infinite_power:
        return {}
    return {"users": {upgrader: max(_HIGHEST_AT_LEAST, *_all_levels(_levels_content(old)))}}


def final_levels(
    old: RoomState, version: RoomVersion, creators: Collection[UserId]
) -> JsonObject | None:
    """The old room's power levels as the new one can hold them; None where it had none."""
    event = old.get("m.room.power_levels", "")
    if event is None:
        return None
    content, users = dict(event.content), _users_of(event.content)
    if version.creators_have_infinite_power:
        users = {user: level for user, level in users.items() if user not in creators}
    elif old.version.creators_have_infinite_power:
        users = {**users, **dict.fromkeys(old.power_levels.infinite, _HIGHEST_AT_LEAST)}
    return {**content, "users": users}


def closing_levels(old: RoomState) -> JsonObject:
    """Power levels that let only moderators speak and invite in the room that was replaced."""
    levels = old.power_levels
    closed = max(_CLOSED_AT_LEAST, levels.users_default + 1)
    return {
        **_levels_content(old),
        "events_default": max(closed, levels.events_default),
        "invite": max(closed, levels.invite),
    }


def tombstone(replacement: RoomId) -> JsonObject:
    """What the old room says of the new one."""
    return {"body": "This room has been replaced", "replacement_room": replacement}


def _levels_content(state: RoomState) -> JsonObject:
    event = state.get("m.room.power_levels", "")
    return event.content if event else {}


def _users_of(content: JsonObject) -> JsonObject:
    users = content.get("users")
    return dict(users) if isinstance(users, dict) else {}


def _all_levels(content: JsonObject) -> list[int]:
    """Every level an event names, at whatever depth."""
    levels = [0]
    for value in content.values():
        if type(value) is int:
            levels.append(value)
        elif isinstance(value, dict):
            levels += _all_levels(value)
    return levels
