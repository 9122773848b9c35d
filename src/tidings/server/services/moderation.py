"""What administrators do to accounts: look at them, lock and suspend them.

Source: client-server API, "Server Administration", "Account locking", "Account suspension".
"""

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, NotFound
from tidings.protocol.ids import UserId, server_name_of
from tidings.server.live.sessions import Requester
from tidings.server.storage.accounts import AccountStore, Restriction, UserRow
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.devices import DeviceRow, DeviceStore


class Restrict(msgspec.Struct, frozen=True):
    """An administrator locks or suspends somebody, or ends it."""

    admin: Requester
    target: UserId
    kind: Restriction
    is_on: bool


class Moderation:
    """Lets administrators act on accounts."""

    def __init__(
        self, db: Database, accounts: AccountStore, devices: DeviceStore, server_name: str
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._devices = devices
        self._server_name = server_name

    async def devices_of(self, who: Requester, target: UserId) -> list[DeviceRow]:
        """Somebody's devices, for themselves or an administrator; raises Forbidden, NotFound."""
        if target != who.user_id:
            self._check_admin(who)
        async with self._db.read() as tx:
            await self._get(tx, target)
            return await self._devices.of(tx, target)

    async def is_restricted(self, admin: Requester, target: UserId, kind: Restriction) -> bool:
        """Whether an account is locked or suspended; raises Forbidden, InvalidParam, NotFound."""
        self._check_admin(admin)
        async with self._db.read() as tx:
            return _value_of(await self._get(tx, target), kind)

    async def restrict(self, command: Restrict) -> None:
        """Lock or suspend an account, or end it; raises Forbidden, InvalidParam, NotFound."""
        self._check_admin(command.admin)

        async def recipe(tx: WriteTx) -> None:
            account = await self._get(tx, command.target)
            if account.is_admin:
                raise Forbidden("Administrators cannot be locked or suspended in this way")
            if _value_of(account, command.kind) == command.is_on:
                return
            await self._accounts.restrict(tx, account.user_id, command.kind, is_on=command.is_on)
            await self._devices.note_all_changed(tx, account.user_id)

        await self._db.write(recipe)

    def _check_admin(self, who: Requester) -> None:
        """Before anything is looked up, so that nobody learns here who exists."""
        if not who.is_admin:
            raise Forbidden("Only administrators of this server may do this")

    async def _get(self, tx: ReadTx, target: UserId) -> UserRow:
        if server_name_of(target) != self._server_name:
            raise InvalidParam(f"{target} is not a user of this server")
        account = await self._accounts.find(tx, target)
        if account is None or account.deactivated:
            raise NotFound("There is no such user")
        return account


def _value_of(account: UserRow, kind: Restriction) -> bool:
    return bool(account.locked if kind == "locked" else account.suspended)
