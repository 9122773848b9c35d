"""From counting by subtraction to counting by notices, once in a user's life.

An ordinary member's unread events are counted by subtraction, which is right
as long as events notify them like everybody else. From the moment that may
not be so, each event that notifies them is written down; what was unread by
then is written down at that moment, so the counts do not jump.
"""

from tidings.protocol.ids import UserId
from tidings.rules.stream import AccountDataChanged
from tidings.server.live.places import NOTICES_MAX
from tidings.server.live.users import Users
from tidings.server.storage.database import WriteTx
from tidings.server.storage.people import MAIN, PeopleStore

ROOMS_MAX = 200
"""Rooms whose unread events are written down; the others begin as read."""


class Notices:
    """Makes people explicit."""

    def __init__(self, people: PeopleStore, users: Users) -> None:
        self._people = people
        self._users = users

    async def make_explicit(self, tx: WriteTx, change: AccountDataChanged) -> None:
        """Count the user by notices from this change on, if they are not yet."""
        if change.user_id not in self._users.explicit_rules(tx):
            await self._write_down(tx, change.user_id)
        self._users.stage(tx, change)

    async def _write_down(self, tx: WriteTx, user_id: UserId) -> None:
        view = await self._users.read(tx, user_id, is_explicit=False)
        loud = await self._people.loud_of_rooms(tx, user_id)
        unread = [
            (room_id, view.places[room_id])
            for room_id in view.joined
            if view.places[room_id].unread_loud(loud.get(room_id, 0))
        ]
        for room_id, place in unread[:ROOMS_MAX]:
            after = place.read_upto(MAIN)
            await self._people.add_loud_notices(tx, user_id, room_id, after, NOTICES_MAX)
        of_threads = [
            (room_id, position, thread_id)
            for room_id in view.joined
            for position, thread_id in view.places[room_id].threads
        ]
        if of_threads:
            await self._people.add_thread_notices(tx, user_id, of_threads)
