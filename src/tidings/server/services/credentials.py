"""Who someone is, by user name and password; the one place where a password is compared."""

from collections.abc import Callable

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, UserLocked
from tidings.protocol.ids import ID_BYTES_MAX, UserId, localpart_of, parse_user_id, server_name_of
from tidings.server.services.passwords import Passwords
from tidings.server.storage.accounts import AccountStore, UserRow
from tidings.server.storage.database import Database, WriteTx

WRONG = "Invalid username or password"
"""The same for an unknown user and for a wrong password."""


class Identifier(msgspec.Struct, frozen=True):
    """How a client names the user (client-server API, "Identifier types")."""

    type: str
    user: str | None = None


class Credentials:
    """Checks user names and passwords."""

    def __init__(
        self,
        db: Database,
        accounts: AccountStore,
        passwords: Passwords,
        server_name: str,
        take_turn: Callable[[str, str], None],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._passwords = passwords
        self._server_name = server_name
        self._take_turn = take_turn
        """Counts one of a kind for whom; raises LimitExceeded."""

    async def check(self, user: str, password: str) -> UserRow:
        """The account that the password opens; raises Forbidden, UserLocked, LimitExceeded."""
        user_id = self.user_named(user)
        self._take_turn("login", user_id or user[:ID_BYTES_MAX])
        account = await self._find(user_id) if user_id else None
        password_hash = account.password_hash if account else None
        is_right = await self._passwords.verify(password, password_hash)
        if not is_right or account is None or account.deactivated:
            raise Forbidden(WRONG)
        if account.locked:
            raise UserLocked("This account has been locked", soft_logout=True)
        if password_hash is None or not self._passwords.is_outdated(password_hash):
            return account
        await self._rehash(account.user_id, password, password_hash)
        return await self._find(account.user_id) or account

    def user_named(self, user: str) -> UserId | None:
        """The local user of a whole id or a local part, in whatever case it was typed."""
        text = user.strip()
        try:
            user_id = parse_user_id(text if text[:1] == "@" else f"@{text}:{self._server_name}")
        except InvalidParam:
            return None
        if server_name_of(user_id) != self._server_name:
            return None
        return UserId(f"@{localpart_of(user_id).lower()}:{self._server_name}")

    async def _find(self, user_id: UserId) -> UserRow | None:
        async with self._db.read() as tx:
            return await self._accounts.find(tx, user_id)

    async def _rehash(self, user_id: UserId, password: str, outdated: str) -> None:
        password_hash = await self._passwords.hash(password)

        async def recipe(tx: WriteTx) -> None:
            await self._accounts.replace_password_hash(tx, user_id, outdated, password_hash)

        await self._db.write(recipe)


def user_of(identifier: Identifier | None, user: str | None) -> str:
    """The user name in a login; raises Forbidden for identifiers nobody here is known by."""
    if identifier is None:
        if user is None:
            raise InvalidParam("The identifier is missing")
        return user
    if identifier.type in ("m.id.thirdparty", "m.id.phone"):
        raise Forbidden(WRONG)
    if identifier.type != "m.id.user" or identifier.user is None:
        raise InvalidParam("The identifier must be of type m.id.user and name a user")
    return identifier.user
