"""Making accounts: for people who register, for guests, and for an administrator's command."""

from collections.abc import Callable

import msgspec

from tidings.protocol.errors import Forbidden, UserInUse
from tidings.protocol.ids import UserId, check_new_localpart, is_opaque_id, localpart_of
from tidings.rules import search_text
from tidings.server.services.devices import Devices, NewSession, OpenSession
from tidings.server.services.passwords import Passwords
from tidings.server.services.tokens import new_localpart
from tidings.server.storage.accounts import AccountStore, NewUser
from tidings.server.storage.database import Database, WriteTx

IN_USE = "This user name is taken"


class NewAccount(msgspec.Struct, frozen=True):
    """An account someone wants; the name has been checked, the proofs have been given."""

    user_id: UserId
    password: str | None
    session: NewSession | None = None
    """The login that comes with it; None: none."""
    registration_token: str | None = None
    is_guest: bool = False
    is_admin: bool = False


class Registration:
    """How accounts come into being."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        accounts: AccountStore,
        devices: Devices,
        passwords: Passwords,
        server_name: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._devices = devices
        self._passwords = passwords
        self._server_name = server_name
        self._now_ms = now_ms

    async def check_username(self, username: str | None) -> UserId:
        """The user id a name would give, or one for no name; raises InvalidUsername, UserInUse."""
        localpart = new_localpart() if username is None else username.strip().lower()
        user_id = check_new_localpart(localpart, self._server_name)
        async with self._db.read() as tx:
            taken = await self._accounts.find(tx, user_id)
        if taken is not None:
            raise UserInUse(IN_USE)
        return user_id

    def check_password(self, password: str) -> None:
        """Whether someone may choose the password; raises WeakPassword."""
        self._passwords.check_strength(password)

    async def register(self, new: NewAccount) -> OpenSession | None:
        """Make the account and log in to it if asked to; raises UserInUse, Forbidden."""
        password_hash = None
        if new.password is not None:
            password_hash = await self._passwords.hash(new.password)

        async def recipe(tx: WriteTx) -> OpenSession | None:
            await self._use_token(tx, new.registration_token)
            if not await self._accounts.insert(tx, self._user(new, password_hash)):
                raise UserInUse(IN_USE)
            if new.session is None:
                return None
            return await self._devices.open(tx, new.user_id, new.session)

        return await self._db.write(recipe)

    async def is_token_valid(self, token: str) -> bool:
        """Whether a registration token would let someone in now."""
        if not is_opaque_id(token):
            return False
        async with self._db.read() as tx:
            row = await self._accounts.find_registration_token(tx, token)
        return row is not None and row.is_valid(self._now_ms())

    async def _use_token(self, tx: WriteTx, token: str | None) -> None:
        if token is None:
            return
        if not await self._accounts.use_registration_token(tx, token, self._now_ms()):
            raise Forbidden("The registration token is no longer valid")

    def _user(self, new: NewAccount, password_hash: str | None) -> NewUser:
        return NewUser(
            user_id=new.user_id,
            password_hash=password_hash,
            created_ts=self._now_ms(),
            search_text=search_text.name_text(localpart_of(new.user_id), None),
            is_guest=new.is_guest,
            is_admin=new.is_admin,
        )
