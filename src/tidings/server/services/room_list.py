"""The directory's list of published rooms."""

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, NotFound
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.public_rooms import Search, describe, matches, take_page
from tidings.server.live.rooms import PendingRoom, Rooms
from tidings.server.services.state import CANONICAL_ALIAS
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.room_list import RoomListStore
from tidings.server.storage.rooms import RoomStore

NO_ROOM = "There is no such room, or you are not in it"


class Publish(msgspec.Struct, frozen=True):
    """Somebody lists a room, or takes it off the list."""

    room_id: RoomId
    user_id: UserId
    visibility: str
    is_admin: bool = False


class RoomList:
    """Lists rooms for everybody."""

    def __init__(
        self, db: Database, list_store: RoomListStore, store: RoomStore, rooms: Rooms, policy: str
    ) -> None:
        self._db = db
        self._list = list_store
        self._store = store
        self._rooms = rooms
        self._policy = policy
        """Who may publish: `everyone` with the power to, or `admins`."""

    async def search(self, search: Search, since: str | None, limit: int) -> JsonObject:
        """The body of an answer of /publicRooms."""
        async with self._db.read() as tx:
            listed = await self._list.listed(tx)
            if not search.is_everything:
                state = await self._list.state(tx, listed)
                listed = [
                    room
                    for room in listed
                    if matches(search, describe(room, state.get(room.room_id, {})))
                ]
            page = take_page(listed, since, limit)
            state = await self._list.state(tx, page.rooms)
        answer: JsonObject = {
            "chunk": [describe(room, state.get(room.room_id, {})) for room in page.rooms],
            "total_room_count_estimate": len(listed),
        }
        if page.next_batch is not None:
            answer["next_batch"] = page.next_batch
        if page.prev_batch is not None:
            answer["prev_batch"] = page.prev_batch
        return answer

    async def visibility_of(self, room_id: RoomId, user_id: UserId | None) -> str:
        """`public` for a published room; `private` is told to its members only."""
        async with self._db.read() as tx:
            row = await self._store.find(tx, room_id)
            if row is not None and row.published:
                return "public"
            place = await self._store.find_membership(tx, user_id, room_id) if user_id else None
        if place is None or place.membership != "join":
            raise NotFound(NO_ROOM)
        return "private"

    async def publish(self, command: Publish) -> None:
        """List a room or take it off the list; raises Forbidden, NotFound."""
        if command.visibility not in ("public", "private"):
            raise InvalidParam("visibility must be public or private")
        is_published = command.visibility == "public"

        async def recipe(tx: WriteTx) -> None:
            room = await self._rooms.for_update(tx, command.room_id)
            if room is None:
                raise NotFound(NO_ROOM)
            if not command.is_admin:
                self._check_power(room, command.user_id)
                if is_published and self._policy != "everyone":
                    raise Forbidden("Only administrators may list rooms in the directory here")
            await self._store.set_published(tx, command.room_id, published=is_published)

        await self._db.write(recipe)

    @staticmethod
    def _check_power(room: PendingRoom, user_id: UserId) -> None:
        if room.membership(user_id) != "join":
            raise NotFound(NO_ROOM)
        levels = room.power_levels
        needed = levels.to_send(CANONICAL_ALIAS, is_state=True)
        if levels.of(user_id) < needed:
            raise Forbidden(f"Power level {needed} is needed to list the room in the directory")
