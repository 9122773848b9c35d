"""Dehydrated devices. Source: MSC3814, "Dehydrated devices with SSSS".

One is a device without a session: it is listed with the others, its keys are
uploaded with it, and its messages stay until it is replaced or deleted.
"""

from collections.abc import Callable

import msgspec

from tidings.protocol.canonical_json import check_canonical, encode_canonical
from tidings.protocol.errors import InvalidParam, NotFound
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId
from tidings.protocol.tokens import format_token, parse_token
from tidings.server.services.device_keys import DeviceKeyring, KeyUpload, check_upload
from tidings.server.services.sync_devices import TO_DEVICE_MAX
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.dehydrated_devices import DehydratedDevice, DehydratedDeviceStore
from tidings.server.storage.devices import DeviceStore
from tidings.server.storage.to_device import ToDeviceStore


class NewDehydratedDevice(msgspec.Struct, frozen=True):
    """A device to be kept, with its keys."""

    device_id: DeviceId
    data: JsonObject
    display_name: str | None
    keys: KeyUpload


class DehydratedDevices:
    """Keeps each user's dehydrated device."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        store: DehydratedDeviceStore,
        devices: DeviceStore,
        keyring: DeviceKeyring,
        to_device: ToDeviceStore,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._devices = devices
        self._keyring = keyring
        self._to_device = to_device
        self._now_ms = now_ms

    async def put(self, user_id: UserId, new: NewDehydratedDevice) -> None:
        """Keep a device in the place of the one kept before; raises InvalidParam."""
        device = (user_id, new.device_id)
        check_upload(device, new.keys)
        check_canonical(new.data)
        kept = DehydratedDevice(new.device_id, encode_canonical(new.data))

        async def recipe(tx: WriteTx) -> None:
            old = await self._store.find(tx, user_id)
            if old is not None:
                await self._devices.delete(tx, user_id, old.device_id)
            elif await self._devices.find(tx, user_id, new.device_id) is not None:
                raise InvalidParam("A device that is logged in has this id")
            now = self._now_ms()
            await self._devices.ensure(tx, user_id, new.device_id, new.display_name, now)
            await self._keyring.put(tx, device, new.keys)
            await self._store.put(tx, user_id, kept)

        await self._db.write(recipe)

    async def get(self, user_id: UserId) -> DehydratedDevice:
        """A user's dehydrated device; raises NotFound."""
        async with self._db.read() as tx:
            return await self._get(tx, user_id)

    async def delete(self, user_id: UserId) -> DeviceId:
        """Delete a user's dehydrated device; raises NotFound."""

        async def recipe(tx: WriteTx) -> DeviceId:
            held = await self._get(tx, user_id)
            await self._devices.delete(tx, user_id, held.device_id)
            await self._store.delete(tx, user_id)
            return held.device_id

        return await self._db.write(recipe)

    async def events(
        self, user_id: UserId, device_id: str, next_batch: str | None
    ) -> tuple[list[bytes], str]:
        """Messages to the device after a token, and the next token; none are deleted by it."""
        after = parse_token(next_batch) if next_batch else 0
        async with self._db.read() as tx:
            held = await self._get(tx, user_id)
            if held.device_id != device_id:
                raise NotFound("You have no such dehydrated device")
            upto = await tx.snapshot_position()
            rows = await self._to_device.waiting(
                tx, (user_id, held.device_id), (after, upto), TO_DEVICE_MAX
            )
        return [message for _, message in rows], format_token(rows[-1][0] if rows else after)

    async def _get(self, tx: ReadTx, user_id: UserId) -> DehydratedDevice:
        held = await self._store.find(tx, user_id)
        # It may have been deleted as any other device.
        if held is None or await self._devices.find(tx, user_id, held.device_id) is None:
            raise NotFound("You have no dehydrated device")
        return held
