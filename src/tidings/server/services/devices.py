"""Devices: a login opens a session on one; tokens are bought, renewed and ended here."""

from collections.abc import Callable, Sequence

import msgspec

from tidings.protocol.errors import NotFound, UnknownToken
from tidings.protocol.ids import DeviceId, UserId
from tidings.server.live.sessions import hash_token
from tidings.server.services.tokens import new_device_id, new_token
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.devices import DeviceRow, DeviceStore, Token

NO_SUCH_DEVICE = "You have no such device"
EXPIRED_KEPT_MS = 7 * 86_400_000
"""How long an expired token is still answered with a soft logout."""


class NewSession(msgspec.Struct, frozen=True):
    """What a client asks for when it logs in."""

    device_id: DeviceId | None = None
    device_name: str | None = None
    wants_refresh_token: bool = False


class OpenSession(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client is given: its tokens, in the form of the answer."""

    user_id: UserId
    device_id: DeviceId
    access_token: str
    refresh_token: str | None = None
    expires_in_ms: int | None = None


class RenewedSession(msgspec.Struct, frozen=True):
    """The tokens that follow a refresh token."""

    access_token: str
    refresh_token: str
    expires_in_ms: int


class Devices:
    """The devices of the server's users."""

    def __init__(
        self,
        db: Database,
        devices: DeviceStore,
        access_token_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._devices = devices
        self._access_token_ms = access_token_ms
        self._now_ms = now_ms

    async def open(self, tx: WriteTx, user_id: UserId, new: NewSession) -> OpenSession:
        """Log a user in within a recipe: a device used before keeps nothing but its name."""
        now = self._now_ms()
        device_id = new.device_id or new_device_id()
        await self._devices.ensure(tx, user_id, device_id, new.device_name, now)
        access = new_token()
        token = Token(hash_token(access), user_id, device_id, now)
        if not new.wants_refresh_token:
            await self._devices.insert_access_token(tx, token, None)
            return OpenSession(user_id, device_id, access)
        await self._devices.insert_access_token(tx, token, now + self._access_token_ms)
        refresh = new_token()
        await self._devices.insert_refresh_token(
            tx, msgspec.structs.replace(token, token_hash=hash_token(refresh))
        )
        return OpenSession(user_id, device_id, access, refresh, self._access_token_ms)

    async def renew(self, refresh_token: str) -> RenewedSession:
        """New tokens for a refresh token, which stays good until they are used."""

        async def recipe(tx: WriteTx) -> RenewedSession:
            old = await self._devices.find_refresh_token(tx, hash_token(refresh_token))
            if old is None:
                raise UnknownToken("Unknown refresh token, or it was used before")
            return await self._renew(tx, old)

        return await self._db.write(recipe)

    async def _renew(self, tx: WriteTx, old: Token) -> RenewedSession:
        now = self._now_ms()
        user_id, device_id = old.user_id, old.device_id
        if old.replaces is not None:
            await self._devices.revoke_replaced(tx, user_id, device_id, old.replaces)
        await self._devices.delete_expired(tx, user_id, device_id, now - EXPIRED_KEPT_MS)
        access, refresh = new_token(), new_token()
        token = Token(hash_token(access), user_id, device_id, now, old.token_hash)
        await self._devices.insert_access_token(tx, token, now + self._access_token_ms)
        await self._devices.insert_refresh_token(
            tx, msgspec.structs.replace(token, token_hash=hash_token(refresh))
        )
        return RenewedSession(access, refresh, self._access_token_ms)

    async def of(self, user_id: UserId) -> list[DeviceRow]:
        """A user's devices."""
        async with self._db.read() as tx:
            return await self._devices.of(tx, user_id)

    async def get(self, user_id: UserId, device_id: DeviceId) -> DeviceRow:
        """A user's device; raises NotFound."""
        async with self._db.read() as tx:
            device = await self._devices.find(tx, user_id, device_id)
        if device is None:
            raise NotFound(NO_SUCH_DEVICE)
        return device

    async def rename(self, user_id: UserId, device_id: DeviceId, name: str) -> None:
        """Give a device another name; raises NotFound."""

        async def recipe(tx: WriteTx) -> None:
            if not await self._devices.rename(tx, user_id, device_id, name):
                raise NotFound(NO_SUCH_DEVICE)

        await self._db.write(recipe)

    async def end(self, user_id: UserId, device_ids: Sequence[DeviceId]) -> None:
        """Log devices out; those that are gone already are no error."""

        async def recipe(tx: WriteTx) -> None:
            for device_id in device_ids:
                await self._devices.delete(tx, user_id, device_id)

        await self._db.write(recipe)

    async def end_all(self, user_id: UserId) -> None:
        """Log a user out everywhere."""

        async def recipe(tx: WriteTx) -> None:
            await self._devices.delete_all(tx, user_id)

        await self._db.write(recipe)
