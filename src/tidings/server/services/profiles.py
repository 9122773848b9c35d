"""Profiles: what people show of themselves, and their rooms of them."""

import re
from collections.abc import Awaitable, Callable

import msgspec

from tidings.protocol.errors import InvalidParam, KeyTooLarge, NotFound, ProfileTooLarge
from tidings.protocol.ids import ID_BYTES_MAX, UserId, localpart_of
from tidings.rules import search_text
from tidings.server.storage.accounts import AccountStore
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.profiles import SHOWN_IN_ROOMS, ProfileStore

NO_SUCH_USER = "There is no such user"
PROFILE_BYTES_MAX = 65_536
DISPLAY_NAME_MAX = 256
AVATAR_URL_MAX = 1_000
_CUSTOM_FIELD = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)+\Z")
"""Appendices, "Common Namespaced Identifier Grammar"."""


class Profiles:
    """Reads and changes profiles."""

    def __init__(
        self,
        db: Database,
        accounts: AccountStore,
        profiles: ProfileStore,
        propagate: Callable[[UserId], Awaitable[None]],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._profiles = profiles
        self._propagate = propagate
        """Shows the user's rooms their changed profile."""

    async def get(self, user_id: UserId) -> dict[str, msgspec.Raw]:
        """A user's whole profile; raises NotFound."""
        async with self._db.read() as tx:
            await self._check_exists(tx, user_id)
            fields = await self._profiles.of(tx, user_id)
        return {field: msgspec.Raw(value) for field, value in fields.items()}

    async def get_field(self, user_id: UserId, field: str) -> msgspec.Raw:
        """One field of a user's profile; raises NotFound when they have not set it."""
        profile = await self.get(user_id)
        if field not in profile:
            raise NotFound(f"This user has not set {field[:ID_BYTES_MAX]}")
        return profile[field]

    async def set_field(self, user_id: UserId, field: str, value: object) -> None:
        """Let a field have a value, and tell the rooms; raises InvalidParam, ProfileTooLarge."""
        check_field(field)
        if field in SHOWN_IN_ROOMS and value in ("", None):
            # COMPAT(clients written before v1.16): they had no other way to delete a field.
            await self.delete_field(user_id, field)
            return
        _check_value(field, value)
        encoded = msgspec.json.encode(value)

        async def recipe(tx: WriteTx) -> bool:
            fields = await self._profiles.of(tx, user_id)
            if fields.get(field) == encoded:
                return False
            _check_size({**fields, field: encoded})
            await self._profiles.set(tx, user_id, field, encoded)
            if field == "displayname":
                await self._index(tx, user_id, str(value))
            return True

        if await self._db.write(recipe) and field in SHOWN_IN_ROOMS:
            await self._propagate(user_id)

    async def delete_field(self, user_id: UserId, field: str) -> None:
        """Let a field have no value, and tell the rooms; one that has none is no error."""
        check_field(field)

        async def recipe(tx: WriteTx) -> bool:
            if field not in await self._profiles.of(tx, user_id):
                return False
            await self._profiles.delete(tx, user_id, field)
            if field == "displayname":
                await self._index(tx, user_id, None)
            return True

        if await self._db.write(recipe) and field in SHOWN_IN_ROOMS:
            await self._propagate(user_id)

    async def _check_exists(self, tx: ReadTx, user_id: UserId) -> None:
        account = await self._accounts.find(tx, user_id)
        if account is None or account.deactivated:
            raise NotFound(NO_SUCH_USER)

    async def _index(self, tx: WriteTx, user_id: UserId, display_name: str | None) -> None:
        text = search_text.name_text(localpart_of(user_id), display_name)
        await self._profiles.set_search_text(tx, user_id, text)


def check_field(field: str) -> None:
    """Whether a profile may have such a field; raises InvalidParam, KeyTooLarge."""
    if len(field.encode()) > ID_BYTES_MAX:
        raise KeyTooLarge(f"The name of a profile field may be at most {ID_BYTES_MAX} bytes long")
    if field not in SHOWN_IN_ROOMS and not _CUSTOM_FIELD.match(field):
        raise InvalidParam("The name of a profile field must look like m.tz or org.example.field")


def _check_value(field: str, value: object) -> None:
    if field == "displayname":
        if not isinstance(value, str) or len(value) > DISPLAY_NAME_MAX:
            raise InvalidParam(f"displayname must be a text of at most {DISPLAY_NAME_MAX} letters")
    elif field == "avatar_url":
        is_mxc = isinstance(value, str) and value.startswith("mxc://")
        if not is_mxc or len(str(value)) > AVATAR_URL_MAX:
            raise InvalidParam("avatar_url must be an mxc:// address")
    elif field == "m.tz" and not isinstance(value, str):
        raise InvalidParam("m.tz must be the name of a time zone")


def _check_size(fields: dict[str, bytes]) -> None:
    # Each field takes its quotes, its colon and its comma besides.
    size_bytes = sum(len(field) + len(value) + 4 for field, value in fields.items()) + 2
    if size_bytes >= PROFILE_BYTES_MAX:
        raise ProfileTooLarge(f"A profile must be smaller than {PROFILE_BYTES_MAX} bytes")
