"""Whose keys a user's clients must ask for again, and whose they need no longer follow.

Source: client-server API, "Tracking the device list for a user". All rooms
count, not only encrypted ones: a client decides whom it follows.
"""

from tidings.protocol.ids import UserId
from tidings.rules.sync import DeviceLists
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.device_lists import DeviceListStore


class DeviceListReader:
    """Reads what is new from the database, by a fixed number of queries."""

    def __init__(self, db: Database, store: DeviceListStore) -> None:
        self._db = db
        self._store = store

    async def since(self, user_id: UserId, after: int) -> DeviceLists:
        """What is new for a user since a position."""
        async with self._db.read() as tx:
            return await self.read(tx, user_id, after, await tx.snapshot_position())

    async def read(self, tx: ReadTx, user_id: UserId, after: int, upto: int) -> DeviceLists:
        """What is new in (after, upto], where `upto` is what the snapshot shows."""
        store = self._store
        changed = set(await store.changed_for(tx, user_id, after, upto))
        changed.update(await store.newly_met(tx, user_id, after))
        came, gone = await store.came_and_went(tx, user_id, after)
        changed |= came
        rooms = await store.rooms_left(tx, user_id, after)
        if rooms:
            gone |= await store.company_left(tx, rooms)
        gone -= changed
        left = await store.strangers(tx, user_id, sorted(gone)) if gone else set()
        return DeviceLists(tuple(sorted(changed)), tuple(sorted(left)))
