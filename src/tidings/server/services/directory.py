"""Aliases: the names of rooms."""

from collections.abc import Callable, Sequence

from tidings.protocol.errors import AliasInUse, Forbidden, InvalidParam, NotFound
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import (
    RoomAlias,
    RoomId,
    UserId,
    parse_room_alias,
    server_name_of,
)
from tidings.server.live.rooms import PendingRoom, Rooms
from tidings.server.services.access import Access
from tidings.server.services.state import CANONICAL_ALIAS
from tidings.server.services.timeline import NOT_A_MEMBER, SendEvent, Timeline
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.rooms import RoomStore


class Directory:
    """Finds rooms by name, and names them."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        store: RoomStore,
        rooms: Rooms,
        access: Access,
        timeline: Timeline,
        server_name: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._rooms = rooms
        self._access = access
        self._timeline = timeline
        self._server_name = server_name
        self._now_ms = now_ms

    async def resolve(self, name: str) -> RoomId:
        """The room that an id or an alias names; raises NotFound for an unknown alias."""
        if name.startswith("!"):
            return RoomId(name)
        if not name.startswith("#"):
            raise InvalidParam("Not a room id or a room alias")
        return await self.room_of(parse_room_alias(name))

    async def room_of(self, alias: RoomAlias) -> RoomId:
        """The room an alias points to; raises NotFound."""
        async with self._db.read() as tx:
            found = await self._store.find_alias(tx, alias)
        if found is None:
            raise NotFound(f"There is no room {alias}")
        return found[0]

    async def aliases_of(self, user_id: UserId, room_id: RoomId) -> Sequence[RoomAlias]:
        """The aliases of a room, for whoever may look into it."""
        async with self._db.read() as tx:
            await self._access.load_room(tx, user_id, room_id)
            return await self._store.aliases_of(tx, room_id)

    async def add(self, alias: RoomAlias, room_id: RoomId, user_id: UserId) -> None:
        """Point an alias at a room that the user is in; raises AliasInUse."""
        if server_name_of(alias) != self._server_name:
            raise InvalidParam(f"Aliases made here end in :{self._server_name}")

        async def recipe(tx: WriteTx) -> None:
            room = await self._rooms.for_update(tx, room_id)
            if room is None or room.membership(user_id) != "join":
                raise Forbidden(NOT_A_MEMBER)
            if await self._store.find_alias(tx, alias) is not None:
                raise AliasInUse(f"The alias {alias} is taken")
            await self._store.insert_alias(tx, alias, room_id, user_id, self._now_ms())

        await self._db.write(recipe)

    async def remove(self, alias: RoomAlias, user_id: UserId, *, is_admin: bool) -> None:
        """Free an alias: its maker may, an administrator, and who may name the room."""

        async def recipe(tx: WriteTx) -> None:
            found = await self._store.find_alias(tx, alias)
            if found is None:
                raise NotFound(f"There is no room {alias}")
            room = await self._rooms.for_update(tx, found[0])
            may_name = room is not None and _may_name(room, user_id)
            if not (is_admin or may_name or found[1] == user_id):
                raise Forbidden("Only its maker or the room's moderators may remove an alias")
            await self._store.delete_alias(tx, alias)
            if room is not None and may_name:
                await self._drop_canonical(tx, room, alias, user_id)

        await self._db.write(recipe)

    async def _drop_canonical(
        self, tx: WriteTx, room: PendingRoom, alias: RoomAlias, user_id: UserId
    ) -> None:
        """Name the alias no longer in the room's own state."""
        held = room.get(CANONICAL_ALIAS, "")
        if held is None:
            return
        content: JsonObject = dict(held.content)
        if content.get("alias") == alias:
            del content["alias"]
        others = content.get("alt_aliases")
        if isinstance(others, list) and alias in others:
            content["alt_aliases"] = [other for other in others if other != alias]
        if content != held.content:
            draft = Draft(room.room_id, CANONICAL_ALIAS, user_id, content, "")
            await self._timeline.append_to(tx, room, SendEvent(draft))


def _may_name(room: PendingRoom, user_id: UserId) -> bool:
    levels = room.power_levels
    is_powerful = levels.of(user_id) >= levels.to_send(CANONICAL_ALIAS, is_state=True)
    return is_powerful and room.membership(user_id) == "join"
