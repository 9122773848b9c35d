"""What sliding sync tells beside rooms: account data, receipts, who types.

What happened since the connection's position is gathered from the feed; for
rooms that are shown for the first time, and where the feed does not reach
back so far, everything is read. Source: MSC3959, MSC3960, MSC3961.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec import Raw

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import AccountDataChanged, ReceiptMoved
from tidings.rules.sync import assemble_account_data, assemble_receipts, assemble_typing
from tidings.server.live.present import Present
from tidings.server.live.users import UserView
from tidings.server.services.sliding_connections import Connection
from tidings.server.services.sliding_devices import (
    E2EE,
    TO_DEVICE,
    DeviceExtensions,
    DeviceExtras,
)
from tidings.server.services.sliding_plan import ExtensionRequest, Plan, SlidingSyncRequest
from tidings.server.services.sync_recent import latest_of_type, latest_receipts
from tidings.server.storage.database import ReadTx
from tidings.server.storage.people import PeopleStore
from tidings.server.storage.sliding_sync import SlidingSyncStore

ACCOUNT_DATA, RECEIPTS, TYPING = "account_data", "receipts", "typing"
OF_ROOMS = frozenset({ACCOUNT_DATA, RECEIPTS, TYPING})
EXTENSIONS = OF_ROOMS | {TO_DEVICE, E2EE}
ROOMS_AT_ONCE = 500
InitialAccountData = Callable[[UserId, list[AccountDataChanged]], list[AccountDataChanged]]


class Extras(msgspec.Struct):
    """What there may be to tell."""

    enabled: frozenset[str]
    devices: DeviceExtras
    account_data: list[AccountDataChanged] = []
    receipts: list[ReceiptMoved] = []
    typing: set[RoomId] = set()
    new_account_data: set[RoomId] = set()
    """Rooms whose account data must be read."""
    new_receipts: set[RoomId] = set()
    all_account_data: bool = False
    """Whether the global account data must be read."""

    def __bool__(self) -> bool:
        return bool(
            self.account_data or self.receipts or self.typing or self.new_account_data
            or self.new_receipts or self.all_account_data or self.devices
        )  # fmt: skip


class Extensions:
    """Gathers and reads what clients have asked for beside rooms."""

    def __init__(
        self,
        present: Present,
        store: SlidingSyncStore,
        people: PeopleStore,
        initial_account_data: InitialAccountData,
        devices: DeviceExtensions,
    ) -> None:
        self.devices = devices
        self._present = present
        self._store = store
        self._people = people
        self._initial_account_data = initial_account_data

    def gather(
        self, request: SlidingSyncRequest, connection: Connection, plan: Plan, view: UserView
    ) -> Extras:
        """What memory knows to be new, and what must be read."""
        devices = self.devices.gather(request, connection, view, plan.upto)
        extras, asked = Extras(enabled_of(request), devices), request.extensions
        feed = self._present.feed
        reaches = connection.pos is not None and connection.position >= feed.floor
        for name in extras.enabled & OF_ROOMS:
            rooms = rooms_of(asked[name], plan)
            is_new = name not in connection.extensions or not reaches
            fresh = rooms if is_new else rooms - connection.live
            if name == ACCOUNT_DATA:
                extras.new_account_data = set(fresh)
                extras.all_account_data = is_new
            elif name == RECEIPTS:
                extras.new_receipts = set(fresh)
            else:
                extras.typing = self._typing(rooms, fresh, connection.position)
            if not is_new:
                self._follow(name, extras, rooms - fresh, request.user_id, connection.position)
        return extras

    def _typing(
        self, rooms: frozenset[RoomId], fresh: frozenset[RoomId], after: int
    ) -> set[RoomId]:
        typing = self._present.typing
        return {
            room_id
            for room_id in rooms
            if (
                typing.users_in(room_id) if room_id in fresh else typing.changed_at(room_id) > after
            )
        }

    def _follow(
        self, name: str, extras: Extras, rooms: frozenset[RoomId], user_id: UserId, after: int
    ) -> None:
        changes = self._present.feed.after(after)
        if name == ACCOUNT_DATA:
            extras.account_data = [
                change
                for change in changes
                if isinstance(change, AccountDataChanged)
                and change.user_id == user_id
                and (not change.room_id or change.room_id in rooms)
            ]
        elif name == RECEIPTS:
            extras.receipts = [
                change
                for change in changes
                if isinstance(change, ReceiptMoved)
                and change.room_id in rooms
                and (change.receipt_type != "m.read.private" or change.user_id == user_id)
            ]

    async def read(
        self,
        tx: ReadTx,
        extras: Extras,
        request: SlidingSyncRequest,
        firsts: Mapping[RoomId, tuple[int, int]],
    ) -> tuple[dict[str, object], bool]:
        """What there is to tell, by extension, and whether any of it is news.

        `firsts` has, for the rooms whose receipts are read, where the timeline begins and since
        when receipts are wanted.
        """
        told: dict[str, object] = {}
        user_id = request.user_id
        if ACCOUNT_DATA in extras.enabled:
            found = await self._account_data(tx, extras, user_id)
            if found:
                told[ACCOUNT_DATA] = found
        if RECEIPTS in extras.enabled:
            receipts = await self._receipts(tx, extras, user_id, firsts)
            if receipts:
                told[RECEIPTS] = {"rooms": receipts}
        if extras.typing:
            typing = self._present.typing
            told[TYPING] = {
                "rooms": {
                    room_id: Raw(assemble_typing(typing.users_in(room_id)))
                    for room_id in extras.typing
                }
            }
        of_device, is_news = await self.devices.read(tx, extras.devices, request)
        return {**told, **of_device}, bool(told) or is_news

    async def _account_data(self, tx: ReadTx, extras: Extras, user_id: UserId) -> dict[str, object]:
        changes, upto = extras.account_data, await tx.snapshot_position()
        if extras.all_account_data:
            everything = await self._people.account_data_of(tx, user_id, 0, upto)
            everything = self._initial_account_data(user_id, everything)
            rooms = extras.new_account_data
            changes = [each for each in everything if not each.room_id or each.room_id in rooms]
        elif extras.new_account_data:
            for some in _batches(extras.new_account_data):
                changes = [*changes, *await self._store.account_data(tx, user_id, some, upto)]
        by_room: dict[RoomId, list[AccountDataChanged]] = {}
        for change in changes:
            by_room.setdefault(change.room_id, []).append(change)
        encoded = {
            room_id: [
                Raw(assemble_account_data(each.type, each.content))
                for each in latest_of_type(of_room)
            ]
            for room_id, of_room in by_room.items()
        }
        told: dict[str, object] = {}
        if everywhere := encoded.pop(RoomId(""), None):
            told["global"] = everywhere
        if encoded:
            told["rooms"] = encoded
        return told

    async def _receipts(
        self,
        tx: ReadTx,
        extras: Extras,
        user_id: UserId,
        firsts: Mapping[RoomId, tuple[int, int]],
    ) -> dict[RoomId, Raw]:
        receipts = list(extras.receipts)
        for some in _batches(extras.new_receipts):
            first = min(firsts[room_id][0] for room_id in some)
            since = min(firsts[room_id][1] for room_id in some)
            receipts += [
                each
                for each in await self._store.receipts(tx, user_id, some, first, since)
                if each.event_position >= firsts[each.room_id][0]
                or each.position > firsts[each.room_id][1]
                or each.user_id == user_id
            ]
        by_room: dict[RoomId, list[ReceiptMoved]] = {}
        for receipt in receipts:
            by_room.setdefault(receipt.room_id, []).append(receipt)
        told: dict[RoomId, Raw] = {}
        for room_id, of_room in by_room.items():
            # A client takes one event for each room; it is the one with the receipts that are
            # not of threads, should one event not be able to say it all.
            of_room.sort(key=lambda each: each.thread_id)
            events = assemble_receipts(latest_receipts(of_room), user_id)
            if events:
                told[room_id] = Raw(events[0])
        return told


def enabled_of(request: SlidingSyncRequest) -> frozenset[str]:
    """The extensions that the client wants and this server has."""
    return frozenset(
        name for name, each in request.extensions.items() if each.enabled and name in EXTENSIONS
    )


def rooms_of(asked: ExtensionRequest, plan: Plan) -> frozenset[RoomId]:
    """The rooms an extension is to tell of: by default all that are shown."""
    everything = "*"
    if asked.lists is None and asked.rooms is None:
        return plan.live
    lists, rooms = asked.lists or (), asked.rooms or ()
    if asked.lists is None:
        lists = tuple(plan.by_list)
    found = {RoomId(room_id) for room_id in rooms}
    if asked.rooms is None or everything in rooms:
        found |= plan.subscribed
    for name in plan.by_list if everything in lists else lists:
        found |= plan.by_list.get(name, frozenset())
    return frozenset(found & plan.live)


def _batches(rooms: Iterable[RoomId]) -> list[list[RoomId]]:
    every = list(rooms)
    return [every[start : start + ROOMS_AT_ONCE] for start in range(0, len(every), ROOMS_AT_ONCE)]
