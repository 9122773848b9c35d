"""Who may change the power levels of a room, and to what.

Nobody gives or takes more than they have. Source: room version 12,
authorisation rule 10; the same in versions 10 and 11 but for rule 10.4.
"""

from collections.abc import Iterator

from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import is_user_id
from tidings.rules.power_levels import is_level
from tidings.rules.room_state import RoomState

_SINGLE = ("users_default", "events_default", "state_default", "ban", "redact", "kick", "invite")


def check_power_levels(draft: Draft, state: RoomState) -> None:
    """Raise Forbidden unless the sender may replace the room's power levels by these."""
    _check_shape(draft.content)
    # 10.4: only versions whose creators cannot be limited have any `infinite`.
    if not state.power_levels.infinite.isdisjoint(_object(draft.content, "users")):
        raise Forbidden("The power level of a room's creators cannot be set")
    current = state.get("m.room.power_levels", "")
    if current is None:
        return
    level = state.power_levels.of(draft.sender)
    for old, new in _changes(current.content, draft.content):
        if _above(old, level) or _above(new, level):
            raise Forbidden("You cannot change levels that are above your own")
    for user_id, old, new in _entry_changes(current.content, draft.content, "users"):
        if user_id != draft.sender and _above(old, level - 1):
            raise Forbidden("You cannot change the level of users who are not below you")
        if _above(new, level):
            raise Forbidden("You cannot give a level above your own")


def _check_shape(content: JsonObject) -> None:
    for key in _SINGLE:
        if key in content and not is_level(content[key]):
            raise Forbidden(f"{key} must be an integer")
    for key in ("events", "notifications", "users"):
        entries = content.get(key, {})
        if not isinstance(entries, dict) or not all(map(is_level, entries.values())):
            raise Forbidden(f"{key} must be an object whose values are integers")
    if not all(map(is_user_id, _object(content, "users"))):
        raise Forbidden("The keys of users must be user ids")


def _changes(old: JsonObject, new: JsonObject) -> Iterator[tuple[object, object]]:
    for key in _SINGLE:
        if old.get(key) != new.get(key):
            yield old.get(key), new.get(key)
    for key in ("events", "notifications"):
        for _, before, after in _entry_changes(old, new, key):
            yield before, after


def _entry_changes(
    old: JsonObject, new: JsonObject, key: str
) -> Iterator[tuple[str, object, object]]:
    before, after = _object(old, key), _object(new, key)
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            yield name, before.get(name), after.get(name)


def _object(content: JsonObject, key: str) -> JsonObject:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _above(value: object, level: int) -> bool:
    # Absent, or left by an older server in a shape we no longer take: nothing to protect.
    return isinstance(value, int) and value > level
