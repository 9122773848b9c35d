"""The directory: aliases, and the rooms that are listed for everybody."""

from tidings.protocol.errors import InvalidParam, NotFound
from tidings.protocol.ids import RoomId, parse_room_alias
from tidings.server.storage.database import Database
from tidings.server.storage.rooms import RoomStore


class Directory:
    """Finds rooms by name, and lists them."""

    def __init__(self, db: Database, store: RoomStore) -> None:
        self._db = db
        self._store = store

    async def resolve(self, name: str) -> RoomId:
        """The room that an id or an alias names; raises NotFound for an unknown alias."""
        if name.startswith("!"):
            return RoomId(name)
        if not name.startswith("#"):
            raise InvalidParam("Not a room id or a room alias")
        async with self._db.read() as tx:
            found = await self._store.find_alias(tx, parse_room_alias(name))
        if found is None:
            raise NotFound(f"There is no room {name}")
        return found[0]
