"""Joins that membership in another room allows.

Source: client-server API, "Restricted rooms"; room version 12, authorisation rule 5.3.5.
"""

from collections.abc import Iterable

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.room_state import RoomState, join_rule_of

_RESTRICTED = frozenset({"restricted", "knock_restricted"})


def allowing_rooms(state: RoomState) -> list[RoomId]:
    """The rooms whose members may join without an invitation; none where the rule is another."""
    if join_rule_of(state) not in _RESTRICTED:
        return []
    event = state.get("m.room.join_rules", "")
    allow = event.content.get("allow") if event else None
    return [
        RoomId(condition["room_id"])
        for condition in (allow if isinstance(allow, list) else ())
        if isinstance(condition, dict)
        and condition.get("type") == "m.room_membership"
        and isinstance(condition.get("room_id"), str)
    ]


def find_authoriser(state: RoomState, joined: Iterable[UserId]) -> UserId | None:
    """A member who may invite, in whose name a restricted join is made."""
    levels = state.power_levels
    return next((member for member in joined if levels.of(member) >= levels.invite), None)
