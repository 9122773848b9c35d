"""Who is in a room: joining, inviting, leaving, removing, and what follows from it."""

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from tidings.protocol.errors import BadJson, Forbidden, GuestAccessForbidden
from tidings.protocol.events import Draft, Event, JsonObject
from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.rules.restricted_joins import allowing_rooms, find_authoriser
from tidings.rules.stream import RoomForgotten
from tidings.server.live.rooms import MEMBER, PendingRoom, Rooms
from tidings.server.services.invitations import Invitations
from tidings.server.services.rooms import Profiles
from tidings.server.services.state import is_repetition
from tidings.server.services.timeline import NOT_A_MEMBER, SendEvent, Timeline
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.rooms import RoomStore

NOT_OPEN = "You must be invited to this room, or it does not exist"
_PRESENT = frozenset({"join", "invite", "knock"})
_OF_ONE_EVENT = frozenset(
    {"displayname", "avatar_url", "reason", "join_authorised_via_users_server"}
)
"""What a member event that shows a changed profile does not take over from the last one."""
_ROOMS_AT_ONCE = 50
"""Rooms told of a profile in one transaction: bounds how long other writers wait."""


class ChangeMembership(msgspec.Struct, frozen=True):
    """Somebody changes the membership of somebody, often their own."""

    room_id: RoomId
    sender: UserId
    target: UserId
    content: JsonObject = {}
    """Beside the membership: the reason, mostly."""
    is_guest: bool = False


class Membership:
    """Changes who is in which room."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        store: RoomStore,
        rooms: Rooms,
        timeline: Timeline,
        profiles: Profiles,
        invitations: Invitations,
    ) -> None:
        self._db = db
        self._store = store
        self._rooms = rooms
        self._timeline = timeline
        self._profiles = profiles
        self._invitations = invitations

    async def join(self, command: ChangeMembership) -> EventId:
        """Join a room; who is in it already stays as they are."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._rooms.for_update(tx, command.room_id)
            if room is None:
                raise Forbidden(NOT_OPEN)
            held = room.get(MEMBER, command.target)
            if held is not None and room.membership(command.target) == "join":
                return held.event_id
            return (await self.append_join(tx, room, command)).event_id

        return await self._db.write(recipe)

    async def append_join(self, tx: WriteTx, room: PendingRoom, command: ChangeMembership) -> Event:
        """Let somebody join within a recipe."""
        if command.is_guest and not _admits_guests(room):
            raise GuestAccessForbidden("Guests may not join this room")
        content = await self._with_profile(tx, command, "join")
        authoriser = await self._find_authoriser(tx, room, command.target)
        content.pop("join_authorised_via_users_server", None)
        if authoriser is not None:
            content["join_authorised_via_users_server"] = authoriser
        return await self._append(tx, room, command, content)

    async def invite(self, command: ChangeMembership) -> EventId:
        """Invite somebody."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._room_of_member(tx, command)
            return (await self.append_invite(tx, room, command)).event_id

        return await self._db.write(recipe)

    async def append_invite(
        self, tx: WriteTx, room: PendingRoom, command: ChangeMembership
    ) -> Event:
        """Invite somebody within a recipe."""
        await self._invitations.check(tx, [command.target])
        content = await self._with_profile(tx, command, "invite")
        return await self._append(tx, room, command, content)

    async def knock(self, command: ChangeMembership) -> EventId:
        """Ask to be let in."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._rooms.for_update(tx, command.room_id)
            if room is None:
                raise Forbidden(NOT_OPEN)
            content = await self._with_profile(tx, command, "knock")
            return (await self._append(tx, room, command, content)).event_id

        return await self._db.write(recipe)

    async def leave(self, command: ChangeMembership) -> EventId:
        """Leave, reject an invitation or take back a knock; who has left stays away."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._rooms.for_update(tx, command.room_id)
            held = room.get(MEMBER, command.target) if room else None
            if room is None or held is None:
                raise Forbidden(NOT_A_MEMBER)
            if room.membership(command.target) == "leave":
                return held.event_id
            content = {**command.content, "membership": "leave"}
            return (await self._append(tx, room, command, content)).event_id

        return await self._db.write(recipe)

    async def kick(self, command: ChangeMembership) -> EventId:
        """Remove somebody, or take back their invitation."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._room_of_member(tx, command)
            if room.membership(command.target) not in _PRESENT:
                raise Forbidden(f"{command.target} is not in the room")
            content = {**command.content, "membership": "leave"}
            return (await self._append(tx, room, command, content)).event_id

        return await self._db.write(recipe)

    async def ban(self, command: ChangeMembership) -> EventId:
        """Remove somebody for good."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._room_of_member(tx, command)
            content = {**command.content, "membership": "ban"}
            return (await self._append(tx, room, command, content)).event_id

        return await self._db.write(recipe)

    async def unban(self, command: ChangeMembership) -> EventId:
        """Let a banned user come back."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._room_of_member(tx, command)
            if room.membership(command.target) != "ban":
                raise Forbidden(f"{command.target} is not banned from the room")
            content = {**command.content, "membership": "leave"}
            return (await self._append(tx, room, command, content)).event_id

        return await self._db.write(recipe)

    async def forget(self, user_id: UserId, room_id: RoomId) -> None:
        """Leave a room out of all that a user is shown; they must have left it."""

        async def recipe(tx: WriteTx) -> None:
            room = await self._rooms.for_update(tx, room_id)
            if room is None or room.get(MEMBER, user_id) is None:
                raise Forbidden(NOT_A_MEMBER)
            if room.membership(user_id) in _PRESENT:
                raise Forbidden("You must leave the room before you can forget it")
            position = tx.next_position()
            await self._store.set_forgotten(tx, user_id, room_id, position)
            tx.emit(RoomForgotten(position, user_id, room_id))

        await self._db.write(recipe)

    async def set(self, command: ChangeMembership, membership: str) -> EventId:
        """Change a membership to what a member event says; raises BadJson for what is none."""
        is_own = command.sender == command.target
        match membership:
            case "join":
                return await self._set_join(command)
            case "invite":
                return await self.invite(command)
            case "knock":
                return await self.knock(command)
            case "ban":
                return await self.ban(command)
            case "leave":
                return await (self.leave(command) if is_own else self._set_leave(command))
            case _:
                raise BadJson("The membership must be join, invite, leave, ban or knock")

    async def _set_join(self, command: ChangeMembership) -> EventId:
        """Join, or say something else of oneself in a room one is in."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._rooms.for_update(tx, command.room_id)
            if room is None:
                raise Forbidden(NOT_OPEN)
            return (await self.append_join(tx, room, command)).event_id

        return await self._db.write(recipe)

    async def _set_leave(self, command: ChangeMembership) -> EventId:
        """Kick somebody, or lift their ban."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._room_of_member(tx, command)
            content = {**command.content, "membership": "leave"}
            return (await self._append(tx, room, command, content)).event_id

        return await self._db.write(recipe)

    async def joined_rooms(self, user_id: UserId) -> list[RoomId]:
        """The rooms somebody is in."""
        async with self._db.read() as tx:
            rows = await self._store.memberships(tx, user_id)
        return [row.room_id for row in rows if row.membership == "join"]

    async def leave_all(self, user_id: UserId, reason: str | None = None) -> None:
        """Leave every room, reject every invitation: what is left of a deactivated account."""
        content: JsonObject = {} if reason is None else {"reason": reason}
        async with self._db.read() as tx:
            rows = await self._store.memberships(tx, user_id)
        for row in rows:
            if row.membership in _PRESENT:
                await self.leave(ChangeMembership(row.room_id, user_id, user_id, content))

    async def propagate_profile(self, user_id: UserId) -> None:
        """Show a changed profile in all rooms of its user, a few rooms at a time."""
        room_ids = await self.joined_rooms(user_id)
        for start in range(0, len(room_ids), _ROOMS_AT_ONCE):
            await self._propagate_to(user_id, room_ids[start : start + _ROOMS_AT_ONCE])

    async def _propagate_to(self, user_id: UserId, room_ids: list[RoomId]) -> None:
        async def recipe(tx: WriteTx) -> None:
            profile = (await self._profiles(tx, [user_id])).get(user_id, {})
            for room_id in room_ids:
                room = await self._rooms.for_update(tx, room_id)
                held = room.get(MEMBER, user_id) if room else None
                if room is None or held is None or room.membership(user_id) != "join":
                    continue
                kept = {key: held.content[key] for key in held.content if key not in _OF_ONE_EVENT}
                command = ChangeMembership(room_id, user_id, user_id)
                with suppress(Forbidden):  # a room that lets nobody join keeps the old name
                    await self._append(tx, room, command, {**kept, **profile})

        await self._db.write(recipe)

    async def _room_of_member(self, tx: WriteTx, command: ChangeMembership) -> PendingRoom:
        room = await self._rooms.for_update(tx, command.room_id)
        if room is None or room.membership(command.sender) != "join":
            raise Forbidden(NOT_A_MEMBER)
        return room

    async def _with_profile(
        self, tx: WriteTx, command: ChangeMembership, membership: str
    ) -> JsonObject:
        profiles: Mapping[UserId, JsonObject] = await self._profiles(tx, [command.target])
        profile = profiles.get(command.target, {})
        return {**profile, **command.content, "membership": membership}

    async def _find_authoriser(
        self, tx: WriteTx, room: PendingRoom, user_id: UserId
    ) -> UserId | None:
        if room.membership(user_id) in ("invite", "join"):
            return None
        allowing = allowing_rooms(room)
        if not allowing or not await self._store.is_joined_to_any(tx, user_id, allowing):
            return None
        return find_authoriser(room, room.joined)

    async def _append(
        self, tx: WriteTx, room: PendingRoom, command: ChangeMembership, content: JsonObject
    ) -> Event:
        held = room.get(MEMBER, command.target)
        if held is not None and is_repetition(held, command.sender, content):
            return held
        draft = Draft(room.room_id, MEMBER, command.sender, content, command.target)
        try:
            return await self._timeline.append_to(tx, room, SendEvent(draft))
        except Forbidden as error:
            if held is None and command.sender == command.target:
                # A stranger must not learn whether there is such a room.
                raise Forbidden(NOT_OPEN) from error
            raise


def _admits_guests(room: PendingRoom) -> bool:
    event = room.get("m.room.guest_access", "")
    return event is not None and event.content.get("guest_access") == "can_join"
