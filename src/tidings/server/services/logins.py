"""Logging in: with a password, or with a token that a device already logged in has asked for."""

from collections.abc import Callable

import msgspec

from tidings.protocol.errors import Forbidden, UserLocked
from tidings.protocol.ids import UserId
from tidings.server.live.sessions import hash_token
from tidings.server.services.credentials import Credentials
from tidings.server.services.devices import Devices, NewSession, OpenSession
from tidings.server.services.tokens import new_token
from tidings.server.storage.accounts import AccountStore, UserRow
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.devices import DeviceStore

LOGIN_TOKEN_MS = 120_000


class LoginToken(msgspec.Struct, frozen=True):
    """A token that logs another device in, in the form of the answer."""

    login_token: str
    expires_in_ms: int = LOGIN_TOKEN_MS


class Logins:
    """The ways into an account."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        accounts: AccountStore,
        device_store: DeviceStore,
        devices: Devices,
        credentials: Credentials,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._device_store = device_store
        self._devices = devices
        self._credentials = credentials
        self._now_ms = now_ms

    async def by_password(self, user: str, password: str, new: NewSession) -> OpenSession:
        """Log in with a password; raises Forbidden, UserLocked, LimitExceeded."""
        while True:
            account = await self._credentials.check(user, password)
            session = await self._open_as_checked(account, new)
            if session is not None:
                return session

    async def _open_as_checked(self, account: UserRow, new: NewSession) -> OpenSession | None:
        """Log in, unless the password has been changed since it was checked."""

        async def recipe(tx: WriteTx) -> OpenSession | None:
            current = await self._accounts.find(tx, account.user_id)
            if current is not None and current.password_hash != account.password_hash:
                return None
            return await self._open(tx, account.user_id, new)

        return await self._db.write(recipe)

    async def by_token(self, token: str, new: NewSession) -> OpenSession:
        """Log in with a login token, which is then spent; raises Forbidden."""

        async def recipe(tx: WriteTx) -> OpenSession:
            now = self._now_ms()
            user_id = await self._device_store.take_login_token(tx, hash_token(token), now)
            if user_id is None:
                raise Forbidden("Invalid login token")
            return await self._open(tx, user_id, new)

        return await self._db.write(recipe)

    async def new_login_token(self, user_id: UserId) -> LoginToken:
        """A token with which another device can log in as the user, once and soon."""
        token = new_token()

        async def recipe(tx: WriteTx) -> None:
            now = self._now_ms()
            await self._device_store.insert_login_token(
                tx, hash_token(token), user_id, now, now + LOGIN_TOKEN_MS
            )

        await self._db.write(recipe)
        return LoginToken(token)

    async def _open(self, tx: WriteTx, user_id: UserId, new: NewSession) -> OpenSession:
        # Asked again inside the transaction: nobody may slip in while being locked out.
        account = await self._accounts.find(tx, user_id)
        if account is None or account.deactivated:
            raise Forbidden("This account has been deactivated")
        if account.locked:
            raise UserLocked("This account has been locked", soft_logout=True)
        return await self._devices.open(tx, user_id, new)
