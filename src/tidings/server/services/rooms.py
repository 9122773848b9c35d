"""Making rooms: all their first events in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, InvalidRoomState, RoomInUse
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomAlias, RoomId, UserId, parse_room_alias
from tidings.protocol.room_versions import RoomVersion, get_room_version
from tidings.rules.rooms import InitialState, NewRoom, initial_events
from tidings.server.config import Config
from tidings.server.live.rooms import PendingRoom, Rooms
from tidings.server.services.invitations import Invitations
from tidings.server.services.timeline import SendEvent, Timeline
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.rooms import RoomRow, RoomStore

INITIAL_STATE_MAX = 300
"""All first events are written in one transaction, and everybody waits for it."""
Profiles: TypeAlias = Callable[[ReadTx, Sequence[UserId]], Awaitable[Mapping[UserId, JsonObject]]]
"""Reads the `displayname` and `avatar_url` of users, as their member events show them."""


class CreateRoom(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants a new room to be."""

    creator: UserId
    is_admin: bool = False
    version: str | None = None
    visibility: str = "private"
    alias_localpart: str | None = None
    preset: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: tuple[UserId, ...] = ()
    is_direct: bool = False
    initial_state: tuple[InitialState, ...] = ()
    creation_content: JsonObject = {}
    power_level_content_override: JsonObject = {}


class RoomCreator:
    """Creates rooms."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        store: RoomStore,
        rooms: Rooms,
        timeline: Timeline,
        profiles: Profiles,
        invitations: Invitations,
        config: Config,
        new_localpart: Callable[[], str],
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._rooms = rooms
        self._timeline = timeline
        self._profiles = profiles
        self._invitations = invitations
        self._config = config
        self._new_localpart = new_localpart
        self._now_ms = now_ms
        self._created_ts = 0

    async def create(self, command: CreateRoom) -> RoomId:
        """Create a room; raises RoomInUse, InvalidRoomState, InvalidParam, Forbidden."""
        self._check_policy(command)
        alias = self._alias_of(command)
        new = self._new_room(command, alias)
        created_ts = self.next_ts()

        async def recipe(tx: WriteTx) -> RoomId:
            if alias is not None and await self._store.find_alias(tx, alias) is not None:
                raise RoomInUse(f"The alias {alias} is taken")
            await self._invitations.check(tx, new.invite)
            room_id = (await self.append(tx, new, created_ts)).room_id
            if alias is not None:
                await self._store.insert_alias(tx, alias, room_id, new.creator, self._now_ms())
            return room_id

        return await self._db.write(recipe)

    def next_ts(self) -> int:
        """When the next room is created: later than the one before.

        Where a room's id is a hash, two alike rooms of one moment would be the same room.
        """
        self._created_ts = max(self._now_ms(), self._created_ts + 1)
        return self._created_ts

    def new_room_id(self, version: RoomVersion) -> RoomId:
        """An id for a new room; empty in the versions that make it from the first event."""
        if version.room_id_is_create_hash:
            return RoomId("")
        return RoomId(f"!{self._new_localpart()}:{self._config.server_name}")

    async def append(self, tx: WriteTx, new: NewRoom, created_ts: int) -> PendingRoom:
        """Create a room within a recipe; raises InvalidRoomState."""
        profiles = await self._profiles(tx, [new.creator, *new.invite])
        found = msgspec.structs.replace(new, profiles=profiles)
        return await self._append_first_events(tx, found, created_ts)

    def _check_policy(self, command: CreateRoom) -> None:
        config = self._config
        if (
            command.visibility == "public"
            and config.publish_rooms != "everyone"
            and not command.is_admin
        ):
            raise Forbidden("Only administrators may list rooms in the directory here")
        if len(command.invite) > config.limits.rooms_created_invites_max:
            most = config.limits.rooms_created_invites_max
            raise InvalidParam(f"At most {most} people can be invited while a room is created")
        if len(command.initial_state) > INITIAL_STATE_MAX:
            raise InvalidParam(f"A room can begin with at most {INITIAL_STATE_MAX} such events")

    def _alias_of(self, command: CreateRoom) -> RoomAlias | None:
        if command.alias_localpart is None:
            return None
        if ":" in command.alias_localpart:
            raise InvalidParam("room_alias_name is only the part between # and :")
        return parse_room_alias(f"#{command.alias_localpart}:{self._config.server_name}")

    def _new_room(self, command: CreateRoom, alias: RoomAlias | None) -> NewRoom:
        version = get_room_version(command.version or self._config.default_room_version)
        return NewRoom(
            room_id=self.new_room_id(version),
            version=version,
            creator=command.creator,
            visibility=command.visibility,
            preset=command.preset,
            name=command.name,
            topic=command.topic,
            canonical_alias=alias,
            invite=tuple(user_id for user_id in command.invite if user_id != command.creator),
            is_direct=command.is_direct,
            initial_state=command.initial_state,
            creation_content=command.creation_content,
            power_level_content_override=command.power_level_content_override,
        )

    async def _append_first_events(self, tx: WriteTx, new: NewRoom, created_ts: int) -> PendingRoom:
        create, *drafts = initial_events(new)
        room = self._rooms.new(new.room_id, new.version)
        try:
            event = await self._timeline.append_to(tx, room, SendEvent(create, ts=created_ts))
            self._rooms.name(tx, room, event.room_id)
            await self._note(tx, room, new)
            for draft in drafts:
                named = msgspec.structs.replace(draft, room_id=room.room_id)
                await self._timeline.append_to(tx, room, SendEvent(named))
        except Forbidden as error:
            raise InvalidRoomState(f"A room cannot begin like this: {error.message}") from error
        return room

    async def _note(self, tx: WriteTx, room: PendingRoom, new: NewRoom) -> None:
        published = int(new.visibility == "public")
        row = RoomRow(room.room_id, new.version.id, new.creator, self._now_ms(), published)
        await self._store.insert(tx, row)
