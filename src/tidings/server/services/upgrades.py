"""Replacing a room by one of another version."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Draft, Event, JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.protocol.room_versions import RoomVersion, get_room_version
from tidings.rules import upgrades
from tidings.rules.rooms import NewRoom
from tidings.rules.spaces import CHILD
from tidings.server.live.rooms import MEMBER, PendingRoom, Rooms
from tidings.server.services.joined import load_joined
from tidings.server.services.rooms import RoomCreator
from tidings.server.services.state import CANONICAL_ALIAS
from tidings.server.services.timeline import SendEvent, Timeline
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.rooms import RoomStore

BANS_MAX = 1_000
"""Bans that are handed on: everything is written in one transaction, and everybody waits."""
_OF_A_BAN = ("membership", "reason")
TOMBSTONE = "m.room.tombstone"


class Upgrade(msgspec.Struct, frozen=True):
    """Somebody replaces a room."""

    room_id: RoomId
    user_id: UserId
    version: str
    additional_creators: tuple[UserId, ...] = ()


class Upgrades:
    """Replaces rooms."""

    def __init__(
        self,
        db: Database,
        store: RoomStore,
        rooms: Rooms,
        timeline: Timeline,
        creator: RoomCreator,
    ) -> None:
        self._db = db
        self._store = store
        self._rooms = rooms
        self._timeline = timeline
        self._creator = creator

    async def upgrade(self, command: Upgrade) -> RoomId:
        """The room that replaces another; raises UnsupportedRoomVersion, Forbidden."""
        version = get_room_version(command.version)
        room_id, created_ts = self._creator.new_room_id(version), self._creator.next_ts()

        async def recipe(tx: WriteTx) -> RoomId:
            old = await load_joined(self._rooms, tx, command.room_id, command.user_id)
            _check_may_end(old, command.user_id)
            new = await self._new_room(tx, old, command, (room_id, version))
            created = await self._creator.append(tx, new, created_ts)
            await self._hand_on(tx, old, created, command)
            await self._move_names(tx, old, created.room_id, command.user_id)
            await self._close(tx, old, created.room_id, command.user_id)
            return created.room_id

        return await self._db.write(recipe)

    async def _new_room(
        self, tx: WriteTx, old: PendingRoom, command: Upgrade, made: tuple[RoomId, RoomVersion]
    ) -> NewRoom:
        room_id, version = made
        row = await self._store.find(tx, old.room_id)
        others = command.additional_creators
        return NewRoom(
            room_id=room_id,
            version=version,
            creator=command.user_id,
            visibility="public" if row is not None and row.published else "private",
            preset="private_chat",
            initial_state=upgrades.transferred_state(old, _held(old, CHILD)),
            creation_content=upgrades.creation_content(old, old.tip.event_id, version, others),
            power_level_content_override=upgrades.first_levels(old, version, command.user_id),
        )

    async def _hand_on(
        self, tx: WriteTx, old: PendingRoom, new: PendingRoom, command: Upgrade
    ) -> None:
        """Bans first: the levels that come after them may take the power to ban away."""
        members = _held(old, MEMBER)
        bans = [event for event in members if event.content.get("membership") == "ban"]
        for ban in bans[:BANS_MAX]:
            held = ban.content
            content: JsonObject = {key: held[key] for key in _OF_A_BAN if key in held}
            draft = Draft(new.room_id, MEMBER, command.user_id, content, ban.state_key)
            await self._timeline.append_to(tx, new, SendEvent(draft))
        creators = {command.user_id, *command.additional_creators}
        levels = upgrades.final_levels(old, new.version, creators)
        if levels is not None:
            await self._set(tx, new, command.user_id, ("m.room.power_levels", levels))

    async def _move_names(
        self, tx: WriteTx, old: PendingRoom, new_id: RoomId, user_id: UserId
    ) -> None:
        await self._store.move_aliases(tx, old.room_id, new_id)
        await self._store.set_published(tx, old.room_id, published=False)
        if old.get(CANONICAL_ALIAS, "") is not None:
            with suppress(Forbidden):  # who may end a room may not always name it
                await self._set(tx, old, user_id, (CANONICAL_ALIAS, {}))

    async def _close(self, tx: WriteTx, old: PendingRoom, new_id: RoomId, user_id: UserId) -> None:
        await self._set(tx, old, user_id, (TOMBSTONE, upgrades.tombstone(new_id)))
        with suppress(Forbidden):  # "If possible" ("Room Upgrades", 6)
            closing = upgrades.closing_levels(old)
            await self._set(tx, old, user_id, ("m.room.power_levels", closing))

    async def _set(
        self, tx: WriteTx, room: PendingRoom, sender: UserId, state: tuple[str, JsonObject]
    ) -> None:
        type_, content = state
        draft = Draft(room.room_id, type_, sender, content, "")
        await self._timeline.append_to(tx, room, SendEvent(draft))


def _check_may_end(room: PendingRoom, user_id: UserId) -> None:
    levels = room.power_levels
    needed = levels.to_send(TOMBSTONE, is_state=True)
    if levels.of(user_id) < needed:
        raise Forbidden(f"Power level {needed} is needed to replace the room")


def _held(room: PendingRoom, type_: str) -> Sequence[Event]:
    keys = [key for key in room.state_keys() if key[0] == type_]
    return [event for key in keys if (event := room.get(*key)) is not None]
