"""The rooms that two people share. Source: client-server API, "Mutual Rooms"."""

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.ids import RoomId, UserId
from tidings.server.storage.database import Database
from tidings.server.storage.rooms import RoomStore

ROOMS_AT_ONCE = 100


class SharedRooms(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page of rooms, in the form of the answer."""

    joined: list[RoomId]
    count: int
    """Of all of them."""
    next_batch: str | None = None


class MutualRooms:
    """Finds shared rooms."""

    def __init__(self, db: Database, store: RoomStore) -> None:
        self._db = db
        self._store = store

    async def of(self, user_id: UserId, other: UserId, start: str) -> SharedRooms:
        """A page of the rooms that both are in; the token is the last room of the page before."""
        if user_id == other:
            raise InvalidParam("user_id must be somebody else's")
        if start and not start.startswith("!"):
            raise InvalidParam("from must be a token of an earlier answer")
        async with self._db.read() as tx:
            shared = await self._store.shared(tx, user_id, other)
        page = [room_id for room_id in shared if room_id > start]
        rooms = page[:ROOMS_AT_ONCE]
        next_batch = rooms[-1] if len(page) > len(rooms) else None
        return SharedRooms(rooms, len(shared), next_batch)
