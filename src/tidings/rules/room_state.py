"""What the rules need to know of a room: its state before the event in question."""

from typing import Protocol

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId
from tidings.protocol.room_versions import RoomVersion
from tidings.rules.power_levels import PowerLevels


class RoomState(Protocol):
    """The state of one room at one point of its history."""

    @property
    def room_id(self) -> RoomId:
        """The room's id."""

    @property
    def version(self) -> RoomVersion:
        """The rules the room was created with."""

    @property
    def power_levels(self) -> PowerLevels:
        """The levels in force, parsed."""

    def get(self, type: str, state_key: str, /) -> Event | None:
        """The state event of that type and key, if there is one."""


def membership_of(state: RoomState, user_id: str) -> str:
    """The user's membership; `leave` for who was never there, or whose state is malformed."""
    event = state.get("m.room.member", user_id)
    membership = event.content.get("membership") if event else None
    return membership if isinstance(membership, str) else "leave"


def join_rule_of(state: RoomState) -> str:
    """The room's join rule; `invite` where none is set."""
    event = state.get("m.room.join_rules", "")
    join_rule = event.content.get("join_rule") if event else None
    return join_rule if isinstance(join_rule, str) else "invite"
