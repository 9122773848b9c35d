"""The state of rooms: reading it as far as one may see it, and setting it."""

from collections.abc import Iterable

import msgspec

from tidings.protocol.canonical_json import encode_canonical
from tidings.protocol.errors import BadAlias, Forbidden, NotFound
from tidings.protocol.events import Draft, Event, JsonObject
from tidings.protocol.ids import EventId, RoomId, UserId, parse_room_alias
from tidings.server.live.rooms import MEMBER, PendingRoom, Rooms
from tidings.server.services.access import Access, Sight
from tidings.server.services.past import PastState
from tidings.server.services.timeline import NOT_A_MEMBER, SendEvent, Timeline
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.rooms import RoomStore

CANONICAL_ALIAS = "m.room.canonical_alias"
GUEST_ACCESS = "m.room.guest_access"


class WhichMembers(msgspec.Struct, frozen=True):
    """Which members of a room are asked for."""

    at: int | None = None
    """As of this position."""
    membership: str | None = None
    not_membership: str | None = None


class StateReader:
    """Reads the state of rooms."""

    def __init__(self, db: Database, access: Access, past: PastState) -> None:
        self._db = db
        self._access = access
        self._past = past

    async def all(self, user_id: UserId, room_id: RoomId) -> list[Event]:
        """The whole state as the user may see it."""
        async with self._db.read() as tx:
            sight = await self._access.load_room(tx, user_id, room_id)
            if sight.until is None:
                return list(sight.room.state.values())
            return await self._past.at(tx, sight.room, sight.until)

    async def get(self, user_id: UserId, room_id: RoomId, key: tuple[str, str]) -> Event:
        """One state event; raises NotFound."""
        async with self._db.read() as tx:
            sight = await self._access.load_room(tx, user_id, room_id)
            state = await self._keys(tx, sight, [key])
        if not state:
            raise NotFound("The room has no such state")
        return state[0]

    async def members(self, user_id: UserId, room_id: RoomId, which: WhichMembers) -> list[Event]:
        """The member events of a room."""
        async with self._db.read() as tx:
            sight = await self._access.load_room(tx, user_id, room_id)
            keys = [key for key in sight.room.state if key[0] == MEMBER]
            if which.at is not None:
                position = min(which.at, sight.upto)
                members: Iterable[Event] = await self._past.keys_at(tx, sight.room, keys, position)
            else:
                members = await self._keys(tx, sight, keys)
        return [event for event in members if _is_asked_for(event, which)]

    async def joined(self, user_id: UserId, room_id: RoomId) -> dict[UserId, JsonObject]:
        """The contents of the member events of all who are in the room."""
        async with self._db.read() as tx:
            room = await self._access.load_joined(tx, user_id, room_id)
            return {
                member: event.content
                for member in room.joined
                if (event := room.get(MEMBER, member)) is not None
            }

    async def _keys(self, tx: ReadTx, sight: Sight, keys: list[tuple[str, str]]) -> list[Event]:
        if sight.until is None:
            return [event for key in keys if (event := sight.room.get(*key)) is not None]
        return await self._past.keys_at(tx, sight.room, keys, sight.until)


class StateSetter:
    """Sets state; membership has a service of its own."""

    def __init__(self, db: Database, rooms: Rooms, store: RoomStore, timeline: Timeline) -> None:
        self._db = db
        self._rooms = rooms
        self._store = store
        self._timeline = timeline

    async def set(self, draft: Draft) -> EventId:
        """Set state; where it is already so by the same sender, the event that says it stands."""

        async def recipe(tx: WriteTx) -> EventId:
            room = await self._rooms.for_update(tx, draft.room_id)
            if room is None or room.membership(draft.sender) != "join":
                raise Forbidden(NOT_A_MEMBER)
            held = room.get(draft.type, draft.state_key or "")
            if held is not None and is_repetition(held, draft.sender, draft.content):
                return held.event_id
            if draft.type == CANONICAL_ALIAS:
                await self._check_aliases(tx, room, draft.content)
            event = await self._timeline.append_to(tx, room, SendEvent(draft))
            if draft.type == GUEST_ACCESS and draft.content.get("guest_access") != "can_join":
                await self._expel_guests(tx, room)
            return event.event_id

        return await self._db.write(recipe)

    async def _expel_guests(self, tx: WriteTx, room: PendingRoom) -> None:
        """Let guests leave a room that admits none any more ("Guest Access")."""
        content: JsonObject = {"membership": "leave", "reason": "Guests may no longer be here"}
        for guest in await self._store.guests_in(tx, room.room_id):
            draft = Draft(room.room_id, MEMBER, guest, content, guest)
            await self._timeline.append_to(tx, room, SendEvent(draft))

    async def _check_aliases(self, tx: ReadTx, room: PendingRoom, content: JsonObject) -> None:
        """Check the aliases that are new; raises InvalidParam, BadAlias."""
        held = room.get(CANONICAL_ALIAS, "")
        known = _aliases_of(held.content) if held else []
        for text in _aliases_of(content):
            if text in known:
                continue
            alias = parse_room_alias(text)
            found = await self._store.find_alias(tx, alias)
            if found is None or found[0] != room.room_id:
                raise BadAlias(f"The alias {alias} does not point to this room")


def is_repetition(held: Event, sender: UserId, content: JsonObject) -> bool:
    """Whether a state event would say again what its sender has said already."""
    if held.sender != sender or held.content != content:
        return False
    # Python holds 1 and True to be equal, JSON does not.
    return encode_canonical(held.content) == encode_canonical(content)


def _is_asked_for(event: Event, which: WhichMembers) -> bool:
    membership = event.content.get("membership")
    if which.membership is not None and membership != which.membership:
        return False
    return which.not_membership is None or membership != which.not_membership


def _aliases_of(content: JsonObject) -> list[object]:
    alias, others = content.get("alias"), content.get("alt_aliases")
    named = [] if alias in (None, "") else [alias]
    return named + (others if isinstance(others, list) else [others] if others else [])
