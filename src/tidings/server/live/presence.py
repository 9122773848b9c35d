"""Who is online, as the changes say, and who is told of it: the company of small rooms.

A room is followed from the time one of its members first syncs. What is too
large carries no presence, and does so no more once it has become too large.
"""

from collections.abc import Iterable

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import PresenceChanged
from tidings.server.live.rooms import MEMBER, membership_of
from tidings.server.live.users import UserView

TOO_LARGE: frozenset[UserId] = frozenset()


class Presence:
    """The last known presence of everybody who was seen."""

    def __init__(self, room_members_max: int) -> None:
        self.room_members_max = room_members_max
        """Rooms with more members do not carry presence."""
        self._known: dict[UserId, PresenceChanged] = {}
        self._company: dict[RoomId, set[UserId] | frozenset[UserId]] = {}

    def apply(self, change: PresenceChanged) -> None:
        """Take up a change."""
        self._known[change.user_id] = change

    def of(self, user_id: UserId) -> PresenceChanged | None:
        """A user's presence."""
        return self._known.get(user_id)

    def all(self) -> Iterable[PresenceChanged]:
        """Everybody's presence."""
        return self._known.values()

    def is_following(self, room_id: RoomId) -> bool:
        """Whether it is known here who is in the room."""
        return room_id in self._company

    def follow(self, room_id: RoomId, members: Iterable[UserId]) -> None:
        """Begin to know who is in a room; nobody stands for a room that is too large."""
        self._company[room_id] = set(members) or TOO_LARGE

    def apply_event(self, event: Event) -> None:
        """Take up who comes and goes."""
        if event.type != MEMBER or event.state_key is None:
            return
        company, user_id = self._company.get(event.room_id), UserId(event.state_key)
        if not isinstance(company, set):
            return
        if membership_of(event) != "join":
            company.discard(user_id)
            return
        company.add(user_id)
        if len(company) > self.room_members_max:
            self._company[event.room_id] = TOO_LARGE

    def clear(self) -> None:
        """Follow no room; those of people who sync will be read again."""
        self._company.clear()

    def company_of(self, room_id: RoomId) -> Iterable[UserId]:
        """Who is shown each other's presence for being in the room."""
        return self._company.get(room_id, TOO_LARGE)

    def seen_by(self, view: UserView) -> set[UserId]:
        """Whose presence a user is shown: the company of the rooms they have joined."""
        return {view.user_id}.union(
            *(self._company.get(room_id, TOO_LARGE) for room_id in view.joined)
        )

    def shown_to(self, view: UserView, user_ids: Iterable[UserId]) -> list[UserId]:
        """Those of the users whose presence somebody is shown."""
        rooms = [self._company.get(room_id, TOO_LARGE) for room_id in view.joined]
        return [
            user_id
            for user_id in user_ids
            if user_id == view.user_id or any(user_id in room for room in rooms)
        ]

    def who_see(self, user_id: UserId) -> set[UserId]:
        """Who is shown the presence of somebody whose rooms are not in memory."""
        rooms = (room for room in self._company.values() if user_id in room)
        return {user_id}.union(*rooms)
