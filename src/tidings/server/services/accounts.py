"""What happens to an account in its life: another password, and its end."""

from collections.abc import Awaitable, Callable

from tidings.protocol.errors import NotFound
from tidings.protocol.ids import DeviceId, UserId
from tidings.server.services.passwords import Passwords
from tidings.server.storage.accounts import AccountStore, UserRow
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.devices import DeviceStore


class Accounts:
    """Changes to accounts that exist."""

    def __init__(
        self,
        db: Database,
        accounts: AccountStore,
        devices: DeviceStore,
        passwords: Passwords,
        leave_rooms: Callable[[UserId], Awaitable[None]],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._devices = devices
        self._passwords = passwords
        self._leave_rooms = leave_rooms

    async def everyone(self) -> list[UserRow]:
        """Every account, deactivated ones included."""
        async with self._db.read() as tx:
            return await self._accounts.everyone(tx)

    async def get(self, user_id: UserId) -> UserRow:
        """An account, deactivated or not; raises NotFound."""
        async with self._db.read() as tx:
            account = await self._accounts.find(tx, user_id)
        if account is None:
            raise NotFound("There is no such user")
        return account

    async def get_active(self, user_id: UserId) -> UserRow:
        """An account that is not deactivated; raises NotFound."""
        account = await self.get(user_id)
        if account.deactivated:
            raise NotFound("This account has been deactivated")
        return account

    def check_password(self, password: str) -> None:
        """Whether someone may choose the password; raises WeakPassword."""
        self._passwords.check_strength(password)

    async def change_password(self, user_id: UserId, password: str) -> None:
        """Let another password open the account; its devices stay logged in."""
        password_hash = await self._passwords.hash(password)

        async def recipe(tx: WriteTx) -> None:
            await self._accounts.set_password_hash(tx, user_id, password_hash)

        await self._db.write(recipe)

    async def replace_password(
        self, user_id: UserId, password: str, but: DeviceId | None = None
    ) -> None:
        """Let another password open the account, and log out every device except one."""
        password_hash = await self._passwords.hash(password)

        async def recipe(tx: WriteTx) -> None:
            await self._accounts.set_password_hash(tx, user_id, password_hash)
            await self._devices.delete_login_tokens(tx, user_id)
            await self._devices.delete_all(tx, user_id, but)

        await self._db.write(recipe)

    async def deactivate(self, user_id: UserId) -> None:
        """End the account for good; done again, it finishes what was interrupted."""

        async def recipe(tx: WriteTx) -> None:
            await self._devices.delete_all(tx, user_id)
            await self._devices.delete_login_tokens(tx, user_id)
            await self._accounts.deactivate(tx, user_id)

        await self._db.write(recipe)
        await self._leave_rooms(user_id)
