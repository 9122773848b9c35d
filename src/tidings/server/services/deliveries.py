"""Messages to devices that have arrived: a device says so by coming back with the next token.

Source: client-server API, "Send-to-Device messaging". Until then they are sent
again. Deleting them is nothing anybody waits for; what could not be deleted is
tried again with the next.
"""

import asyncio
import logging
from contextlib import suppress

from tidings.protocol.errors import StorageUnavailable
from tidings.server.live.users import UserView
from tidings.server.services.sync_request import SyncRequest
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.device_keys import Device
from tidings.server.storage.to_device import ToDeviceStore

log = logging.getLogger("tidings.deliveries")


class Deliveries:
    """Deletes what has arrived, many devices' in one write."""

    def __init__(self, db: Database, store: ToDeviceStore) -> None:
        self._db = db
        self._store = store
        self._arrived: dict[Device, int] = {}
        self._task: asyncio.Task[None] | None = None

    def acknowledge(self, request: SyncRequest, view: UserView) -> None:
        """A device of a user with messages comes with a token: those before it have arrived."""
        upto = request.delivered
        oldest, newest = view.queues.get(request.device_id, (upto + 1, 0))
        if oldest > upto:
            return
        request.device.acknowledged = max(upto, request.device.acknowledged)
        if newest > upto:
            view.queues[request.device_id] = (upto + 1, newest)
        else:
            del view.queues[request.device_id]
        self._arrived[request.user_id, request.device_id] = upto
        if self._task is None:
            self._task = asyncio.create_task(self._delete(), name="deliveries")

    async def close(self) -> None:
        """Wait for the deletion that is under way."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task

    async def _delete(self) -> None:
        try:
            while self._arrived:
                await self._delete_some()
        except StorageUnavailable as error:
            log.warning("deliveries.delete_failed error=%s", error.message)
        finally:
            self._task = None

    async def _delete_some(self) -> None:
        arrived = dict(self._arrived)

        async def recipe(tx: WriteTx) -> None:
            await self._store.delete(tx, list(arrived.items()))

        await self._db.write(recipe)
        for device, upto in arrived.items():
            if self._arrived.get(device) == upto:
                del self._arrived[device]
