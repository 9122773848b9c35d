"""How much is unread for a user in all their rooms: the number on an app's icon."""

from tidings.protocol.ids import RoomId, UserId
from tidings.server.live.rooms import Rooms
from tidings.server.live.users import Users, UserView
from tidings.server.storage.database import ReadTx
from tidings.server.storage.people import PeopleStore


class Badges:
    """Counts."""

    def __init__(self, people: PeopleStore, users: Users, rooms: Rooms) -> None:
        self._people = people
        self._users = users
        self._rooms = rooms

    async def count(self, tx: ReadTx, user_id: UserId) -> int:
        """Unread notifications, threads included."""
        view = await self._users.load(tx, user_id)
        loud = await self._loud(tx, view)
        total = 0
        for room_id in view.joined:
            total += view.unread(room_id, loud.get(room_id, 0)).notifications
            total += sum(each.notifications for each in view.unread_threads(room_id).values())
        return total

    async def _loud(self, tx: ReadTx, view: UserView) -> dict[RoomId, int]:
        """How many loud events the user's rooms have; read only where memory does not know."""
        if view.is_explicit:
            return {}
        held = {room_id: self._rooms.held(room_id) for room_id in view.joined}
        known = {room_id: room.tip.loud for room_id, room in held.items() if room is not None}
        if len(known) == len(held):
            return known
        return {**await self._people.loud_of_rooms(tx, view.user_id), **known}
