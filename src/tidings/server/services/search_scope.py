"""Which rooms somebody may search, and which parts of their history.

The same rules as for reading a room (`services/access.py`), for many rooms by
one query: they are applied to what was found, before anything of it is told.
Source: client-server API, "Server Side Search".
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.filters import RoomEventFilter
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.visibility import Interval, can_see, visible_intervals
from tidings.server.live.rooms import MEMBER
from tidings.server.live.users import IGNORED, ignored_users
from tidings.server.storage.database import ReadTx
from tidings.server.storage.people import PeopleStore
from tidings.server.storage.rooms import RoomStore
from tidings.server.storage.search import SearchSource


class Scope(msgspec.Struct):
    """The rooms of a search; what of each is seen is read when something is found there."""

    user_id: UserId
    rooms: frozenset[RoomId]
    ignored: frozenset[str]
    filter: RoomEventFilter
    intervals: dict[RoomId, Sequence[Interval]]

    def passes(self, event: Event) -> bool:
        """Whether the searcher may see the event and wants it; its room must be known by now."""
        return (
            event.redacted_by is None
            and can_see(event.position, self.intervals.get(event.room_id, ()))
            and (event.state_key is not None or event.sender not in self.ignored)
            and self.filter.passes(event)
        )

    def seen(self, edit: Event | None) -> Event | None:
        """The edit, if it is not from after the searcher's leaving."""
        if edit is None or not can_see(edit.position, self.intervals.get(edit.room_id, ())):
            return None
        return edit


class Scopes:
    """Loads scopes."""

    def __init__(self, rooms: RoomStore, people: PeopleStore, source: SearchSource) -> None:
        self._rooms = rooms
        self._people = people
        self._source = source

    async def load(self, tx: ReadTx, user_id: UserId, chosen: RoomEventFilter) -> Scope:
        """Every room the user is or was in and has not forgotten, as far as the filter allows."""
        places = await self._rooms.memberships(tx, user_id)
        rooms = frozenset(
            place.room_id
            for place in places
            if (place.membership == "join" or not place.forgotten)
            and chosen.allows_room(place.room_id)
        )
        content = await self._people.find_account_data(tx, user_id, "", IGNORED)
        ignored = ignored_users(content) if content else frozenset[str]()
        return Scope(user_id, rooms, ignored, chosen, {})

    async def look_into(self, tx: ReadTx, scope: Scope, room_ids: Iterable[RoomId]) -> None:
        """Read what the searcher sees of those of the rooms that are in the scope."""
        new = [room_id for room_id in set(room_ids) if room_id not in scope.intervals]
        inside = [room_id for room_id in new if room_id in scope.rooms]
        visibility: dict[RoomId, list[tuple[int, str]]] = {room_id: [] for room_id in inside}
        memberships: dict[RoomId, list[tuple[int, str]]] = {room_id: [] for room_id in inside}
        histories = await self._source.sight_histories(tx, scope.user_id, inside)
        for room_id, position, type_, content in histories:
            if type_ == MEMBER:
                memberships[room_id].append((position, str(content.get("membership"))))
            else:
                value = str(content.get("history_visibility"))
                visibility[room_id].append((position, value))
        scope.intervals.update(dict.fromkeys(new, ()))
        scope.intervals.update(_seen(visibility, memberships))


def _seen(
    visibility: Mapping[RoomId, list[tuple[int, str]]],
    memberships: Mapping[RoomId, list[tuple[int, str]]],
) -> dict[RoomId, Sequence[Interval]]:
    """The visible parts of the rooms that the searcher has ever joined."""
    return {
        room_id: visible_intervals(visibility[room_id], history)
        for room_id, history in memberships.items()
        if any(membership == "join" for _, membership in history)
    }
