"""Power levels, parsed once per `m.room.power_levels` event.

Reading is total: a value of a wrong type counts as absent, because state may
hold what an older server let in. Writing is judged by `authorise`.
Source: client-server API, `m.room.power_levels`; room version 12, "room creators".
"""

from collections.abc import Mapping

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import UserId
from tidings.protocol.room_versions import RoomVersion

CREATOR_LEVEL = 2**53
"""Above every level an event can name: what version 12 calls infinite."""

_CREATOR_WITHOUT_EVENT = 100
_NOTIFICATION_DEFAULT = 50


class PowerLevels(msgspec.Struct, frozen=True):
    """Who may do what in a room."""

    users: Mapping[str, int]
    events: Mapping[str, int]
    notifications: Mapping[str, int]
    infinite: frozenset[UserId]
    """The creators, in the room versions that cannot limit them."""
    users_default: int
    events_default: int
    state_default: int
    ban: int
    kick: int
    redact: int
    invite: int

    @classmethod
    def parse(
        cls, content: JsonObject | None, version: RoomVersion, creators: frozenset[UserId]
    ) -> "PowerLevels":
        """The levels of a room; `content` is None where it has no power levels event."""
        infinite = creators if version.creators_have_infinite_power else frozenset()
        users = _levels_of(content, "users")
        if content is None and not version.creators_have_infinite_power:
            users = dict.fromkeys(creators, _CREATOR_WITHOUT_EVENT)
        return cls(
            users=users,
            events=_levels_of(content, "events"),
            notifications=_levels_of(content, "notifications"),
            infinite=infinite,
            users_default=_level_of(content, "users_default", 0),
            events_default=_level_of(content, "events_default", 0),
            state_default=_level_of(content, "state_default", 50),
            ban=_level_of(content, "ban", 50),
            kick=_level_of(content, "kick", 50),
            redact=_level_of(content, "redact", 50),
            invite=_level_of(content, "invite", 0),
        )

    def of(self, user_id: str) -> int:
        """The level of a user, member or not."""
        if user_id in self.infinite:
            return CREATOR_LEVEL
        return self.users.get(user_id, self.users_default)

    def to_send(self, event_type: str, is_state: bool) -> int:  # noqa: FBT001 - a datum, not a mode
        """The level required to send events of the type."""
        return self.events.get(event_type, self.state_default if is_state else self.events_default)

    def notification(self, key: str = "room") -> int:
        """The level required to notify everybody in the way `key` names."""
        return self.notifications.get(key, _NOTIFICATION_DEFAULT)


def creators_of(create_event: Event, version: RoomVersion) -> frozenset[UserId]:
    """Who created the room: its sender and, from version 12 on, those it names beside them."""
    if version.creator_in_content:
        creator = create_event.content.get("creator")
        return frozenset({UserId(creator) if isinstance(creator, str) else create_event.sender})
    creators = {create_event.sender}
    others = create_event.content.get("additional_creators")
    if version.creators_have_infinite_power and isinstance(others, list):
        creators.update(UserId(other) for other in others if isinstance(other, str))
    return frozenset(creators)


def is_level(value: object) -> bool:
    """Whether the value is an integer, as versions 10 and later demand; booleans are not."""
    return type(value) is int


def _level_of(content: JsonObject | None, key: str, default: int) -> int:
    value = content.get(key) if content else None
    return value if type(value) is int else default


def _levels_of(content: JsonObject | None, key: str) -> dict[str, int]:
    value = content.get(key) if content else None
    if not isinstance(value, dict):
        return {}
    return {name: level for name, level in value.items() if type(level) is int}
