"""What clients keep for their user: account data, global and for rooms, and the tags of rooms.

Source: client-server API, "Client Config" and "Room Tagging".
"""

from collections.abc import Callable

import msgspec

from tidings.protocol.errors import InvalidParam, NotFound, ServerControlled
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import ID_BYTES_MAX, RoomId, StreamPosition, UserId
from tidings.rules.push_rules import default_ruleset
from tidings.rules.stream import AccountDataChanged
from tidings.server.live.users import IGNORED, PUSH_RULES
from tidings.server.services.notices import Notices
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.people import PeopleStore

FULLY_READ = "m.fully_read"
TAGS = "m.tag"
GLOBAL = RoomId("")
TAGS_MAX = 100
"""Ours: tags of one room."""


class AccountData:
    """Keeps account data."""

    def __init__(self, db: Database, people: PeopleStore, notices: Notices) -> None:
        self._db = db
        self._people = people
        self._notices = notices

    async def set(self, user_id: UserId, room_id: RoomId, type_: str, content: JsonObject) -> None:
        """Replace one type; raises ServerControlled, InvalidParam."""
        _check_place(room_id, type_)
        if type_ in (FULLY_READ, PUSH_RULES):
            raise ServerControlled(f"{type_} cannot be set through this API")
        encoded = msgspec.json.encode(content)

        async def recipe(tx: WriteTx) -> None:
            await self.put(tx, user_id, room_id, (type_, encoded))

        await self._db.write(recipe)

    async def put(
        self, tx: WriteTx, user_id: UserId, room_id: RoomId, data: tuple[str, bytes]
    ) -> None:
        """Replace one type within a recipe, whoever controls it."""
        type_, content = data
        changed = AccountDataChanged(tx.next_position(), user_id, room_id, type_, content)
        if room_id == GLOBAL and type_ in (PUSH_RULES, IGNORED):
            await self._notices.make_explicit(tx, changed)
        await self._people.set_account_data(tx, changed)
        tx.emit(changed)

    async def get(self, user_id: UserId, room_id: RoomId, type_: str) -> bytes:
        """The content of one type as JSON; raises NotFound."""
        _check_place(room_id, type_)
        async with self._db.read() as tx:
            content = await self._people.find_account_data(tx, user_id, room_id, type_)
        if content is None and room_id == GLOBAL and type_ == PUSH_RULES:
            return default_push_rules(user_id)
        if content is None:
            raise NotFound("Account data not found")
        return content

    async def get_tags(self, user_id: UserId, room_id: RoomId) -> JsonObject:
        """The tags of a room, by name."""
        _check_place(room_id, TAGS)
        async with self._db.read() as tx:
            return await self._tags(tx, user_id, room_id)

    async def set_tag(
        self, user_id: UserId, room_id: RoomId, tag: str, content: JsonObject
    ) -> None:
        """Add a tag to a room or change what it says; raises InvalidParam."""
        if not tag or len(tag.encode()) > ID_BYTES_MAX:
            raise InvalidParam(f"A tag must have between 1 and {ID_BYTES_MAX} bytes")

        def edit(tags: JsonObject) -> JsonObject:
            if tag not in tags and len(tags) >= TAGS_MAX:
                raise InvalidParam(f"A room may have at most {TAGS_MAX} tags")
            return {**tags, tag: content}

        await self._edit_tags(user_id, room_id, edit)

    async def delete_tag(self, user_id: UserId, room_id: RoomId, tag: str) -> None:
        """Take a tag off a room; it does not matter whether it was there."""
        await self._edit_tags(
            user_id, room_id, lambda tags: {name: tags[name] for name in tags if name != tag}
        )

    async def _edit_tags(
        self, user_id: UserId, room_id: RoomId, edit: Callable[[JsonObject], JsonObject]
    ) -> None:
        _check_place(room_id, TAGS)

        async def recipe(tx: WriteTx) -> None:
            tags = await self._tags(tx, user_id, room_id)
            edited = edit(tags)
            if edited != tags:
                content = msgspec.json.encode({"tags": edited})
                await self.put(tx, user_id, room_id, (TAGS, content))

        await self._db.write(recipe)

    async def _tags(self, tx: ReadTx, user_id: UserId, room_id: RoomId) -> JsonObject:
        content = await self._people.find_account_data(tx, user_id, room_id, TAGS)
        # Clients may also set m.tag as plain account data, of any shape.
        value: JsonObject = msgspec.json.decode(content) if content else {}
        tags = value.get("tags")
        return tags if isinstance(tags, dict) else {}


def initial_account_data(
    user_id: UserId, changes: list[AccountDataChanged]
) -> list[AccountDataChanged]:
    """A user's stored account data as a first sync shows it: with push rules in any case."""
    if any(change.type == PUSH_RULES and not change.room_id for change in changes):
        return changes
    rules = default_push_rules(user_id)
    never = StreamPosition(0)
    return [AccountDataChanged(never, user_id, GLOBAL, PUSH_RULES, rules), *changes]


def default_push_rules(user_id: UserId) -> bytes:
    """The m.push_rules event's content of a user who has never changed any."""
    return msgspec.json.encode({"global": default_ruleset(user_id)})


def _check_place(room_id: RoomId, type_: str) -> None:
    if room_id != GLOBAL and not room_id.startswith("!"):
        raise InvalidParam("Not a room id: it must begin with an exclamation mark")
    if not type_ or max(len(room_id.encode()), len(type_.encode())) > ID_BYTES_MAX:
        raise InvalidParam(f"Room ids and types must have between 1 and {ID_BYTES_MAX} bytes")
