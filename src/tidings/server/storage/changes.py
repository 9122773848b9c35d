"""What other processes committed, read back as the changes they published."""

from itertools import groupby
from operator import attrgetter

from tidings.rules.stream import Change, EventAppended, Notice, RoomForgotten
from tidings.server.storage.database import ReadTx
from tidings.server.storage.device_keys import DeviceKeyStore
from tidings.server.storage.device_lists import DeviceListStore
from tidings.server.storage.devices import DeviceStore
from tidings.server.storage.events import EventStore, redacts_of
from tidings.server.storage.people import PeopleStore
from tidings.server.storage.pushers import PusherStore
from tidings.server.storage.rooms import RoomStore
from tidings.server.storage.to_device import ToDeviceStore

CATCH_UP_MAX = 5_000
"""Beyond so many positions it is cheaper to forget the replicas and read them anew."""


class ChangeReader:
    """One small reader for each stream; together they give all changes in order."""

    def __init__(
        self, events: EventStore, rooms: RoomStore, people: PeopleStore, devices: DeviceStore
    ) -> None:
        self._events = events
        self._rooms = rooms
        self._people = people
        self._devices = devices
        self._pushers = PusherStore()
        self._device_keys = DeviceKeyStore()
        self._device_lists = DeviceListStore()
        self._to_device = ToDeviceStore()

    async def read(self, tx: ReadTx, after: int, upto: int) -> list[Change] | None:
        """The changes in (after, upto], oldest first; None when they are too many."""
        if upto - after > CATCH_UP_MAX:
            return None
        changes: list[Change] = await self._read_events(tx, after, upto)
        changes += await self._people.receipts_changed(tx, after, upto)
        changes += await self._people.account_data_changed(tx, after, upto)
        changes += await self._people.typing_changed(tx, after, upto)
        changes += await self._people.presence_changed(tx, after, upto)
        changes += await self._devices.changed(tx, after, upto)
        changes += await self._pushers.changed(tx, after, upto)
        changes += await self._device_keys.counts_changed(tx, after, upto)
        changes += await self._device_lists.changed(tx, after, upto)
        changes += await self._to_device.queued(tx, after, upto)
        changes += [
            RoomForgotten(position, user_id, room_id)
            for position, user_id, room_id in await self._rooms.forgotten(tx, after, upto)
        ]
        return sorted(changes, key=attrgetter("position"))

    async def _read_events(self, tx: ReadTx, after: int, upto: int) -> list[Change]:
        events = await self._events.appended(tx, after, upto)
        if not events:
            return []
        rows = await self._people.notices_changed(tx, after, upto)
        rows.sort(key=attrgetter("position"))
        notices = {
            position: tuple(Notice(r.user_id, bool(r.notify), bool(r.highlight)) for r in group)
            for position, group in groupby(rows, key=attrgetter("position"))
        }
        targets = [target for event in events if (target := redacts_of(event)) is not None]
        emptied = await self._events.find_many(tx, targets)
        redacted = {event.redacted_by: event for event in emptied.values()}
        return [
            EventAppended(
                event.position, event, notices.get(event.position, ()), redacted.get(event.event_id)
            )
            for event in events
        ]
