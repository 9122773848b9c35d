"""Who is online, as the changes say."""

from collections.abc import Iterable

from tidings.protocol.ids import UserId
from tidings.rules.stream import PresenceChanged
from tidings.server.live.rooms import Rooms
from tidings.server.live.users import UserView


class Presence:
    """The last known presence of everybody who was seen."""

    def __init__(self, rooms: Rooms, room_members_max: int) -> None:
        self._rooms = rooms
        self._room_members_max = room_members_max
        self._known: dict[UserId, PresenceChanged] = {}

    def apply(self, change: PresenceChanged) -> None:
        """Take up a change."""
        self._known[change.user_id] = change

    def of(self, user_id: UserId) -> PresenceChanged | None:
        """A user's presence."""
        return self._known.get(user_id)

    def all(self) -> Iterable[PresenceChanged]:
        """Everybody's presence."""
        return self._known.values()

    def seen_by(self, view: UserView) -> set[UserId]:
        """Whose presence a user is shown: members of the rooms they share, large rooms apart."""
        seen = {view.user_id}
        for room_id in view.joined:
            room = self._rooms.held(room_id)
            if room is not None and len(room.joined) <= self._room_members_max:
                seen.update(room.joined)
        return seen
