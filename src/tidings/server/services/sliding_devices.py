"""What sliding sync tells a device: messages to it, whose keys have changed, how many it has left.

Messages have a token of their own, which outlives the connection: a device
that comes with one has everything before it. Source: MSC3884, MSC3885.
"""

import msgspec
from msgspec import Raw

from tidings.protocol.filters import Filter
from tidings.protocol.ids import UserId
from tidings.protocol.tokens import format_token, parse_token
from tidings.rules.required_state import MEMBER
from tidings.rules.stream import DeviceListChanged, EventAppended
from tidings.rules.sync import NO_KEYS, DeviceLists
from tidings.server.live.present import Present
from tidings.server.live.users import UserView
from tidings.server.services.deliveries import Deliveries
from tidings.server.services.device_lists import DeviceListReader
from tidings.server.services.sliding_connections import Connection
from tidings.server.services.sliding_plan import SlidingSyncRequest
from tidings.server.services.sync_devices import TO_DEVICE_MAX, DeviceNews
from tidings.server.services.sync_request import Devices, SyncRequest
from tidings.server.storage.database import ReadTx
from tidings.server.storage.to_device import ToDeviceStore

TO_DEVICE, E2EE = "to_device", "e2ee"
NO_FILTER = Filter()


class DeviceExtras(msgspec.Struct):
    """What there may be to tell a device."""

    upto: int
    messages_after: int | None = None
    """After which position messages are to be told; None where they are not asked for."""
    messages_max: int = TO_DEVICE_MAX
    may_have_messages: bool = False
    key_counts: bytes | None = None
    """What the device is told of its own keys; None where it does not ask."""
    lists: DeviceLists = DeviceLists()
    lists_after: int | None = None
    """Since when the database must be asked whose keys changed."""

    def __bool__(self) -> bool:
        return self.may_have_messages or bool(self.lists) or self.lists_after is not None


class DeviceExtensions:
    """Gathers and reads what is for devices."""

    def __init__(
        self,
        present: Present,
        devices: Devices,
        store: ToDeviceStore,
        lists: DeviceListReader,
        deliveries: Deliveries,
    ) -> None:
        self._present = present
        self._devices = devices
        self._store = store
        self._lists = lists
        self._deliveries = deliveries

    def acknowledge(self, request: SlidingSyncRequest, view: UserView) -> None:
        """What was told with the request's token of messages has arrived; raises InvalidParam."""
        asked = request.extensions.get(TO_DEVICE)
        if asked is None or not asked.enabled or not asked.since:
            return
        upto = min(parse_token(asked.since), self._present.feed.position)
        self._deliveries.acknowledge(self._classic(request, upto), view)

    def gather(
        self, request: SlidingSyncRequest, connection: Connection, view: UserView, upto: int
    ) -> DeviceExtras:
        """What memory knows to be new, and what must be read."""
        extras = DeviceExtras(upto)
        asked = request.extensions.get(TO_DEVICE)
        if asked is not None and asked.enabled:
            known = self._devices.of(request.user_id, request.device_id).acknowledged
            extras.messages_after = max(known, parse_token(asked.since) if asked.since else 0)
            extras.messages_max = max(1, min(asked.limit, TO_DEVICE_MAX))
            _, newest = view.queues.get(request.device_id, (0, 0))
            extras.may_have_messages = newest > extras.messages_after
        asked = request.extensions.get(E2EE)
        if asked is not None and asked.enabled:
            extras.key_counts = view.key_counts.get(request.device_id, NO_KEYS)
            if connection.pos is not None and E2EE in connection.extensions:
                self._gather_lists(extras, request, view, connection.position)
        return extras

    def _gather_lists(
        self, extras: DeviceExtras, request: SlidingSyncRequest, view: UserView, after: int
    ) -> None:
        feed, news = self._present.feed, DeviceNews()
        if after < feed.floor:
            extras.lists_after = after
            return
        classic = self._classic(request, after)
        for change in feed.after(after):
            if isinstance(change, DeviceListChanged):
                news.take(view, classic, change)
            elif isinstance(change, EventAppended) and change.event.type == MEMBER:
                event = change.event
                if event.state_key == view.user_id:
                    extras.lists_after = after
                elif event.room_id in view.joined:
                    news.take_member(event)
        lists = news.lists(view, self._present.rooms)
        if lists is None:
            extras.lists_after = after
        else:
            extras.lists = lists

    async def read(
        self, tx: ReadTx, extras: DeviceExtras, request: SlidingSyncRequest
    ) -> tuple[dict[str, object], bool]:
        """What there is to tell, by extension, and whether any of it is news."""
        told: dict[str, object] = {}
        has_news = False
        if extras.messages_after is not None:
            messages = await self._messages(tx, extras, request)
            cut = len(messages) > extras.messages_max
            messages = messages[: extras.messages_max]
            told[TO_DEVICE] = {
                "next_batch": format_token(messages[-1][0] if cut else extras.upto),
                "events": [Raw(message) for _, message in messages],
            }
            has_news = bool(messages)
        if extras.key_counts is not None:
            lists = await self._device_lists(tx, extras, request.user_id)
            has_news |= bool(lists)
            members = extras.key_counts
            if lists:
                members += b',"device_lists":' + msgspec.json.encode(lists)
            told[E2EE] = Raw(b"{%b}" % members)
        return told, has_news

    async def _messages(
        self, tx: ReadTx, extras: DeviceExtras, request: SlidingSyncRequest
    ) -> list[tuple[int, bytes]]:
        if not extras.may_have_messages or extras.messages_after is None:
            return []
        device, span = (request.user_id, request.device_id), (extras.messages_after, extras.upto)
        return [*await self._store.waiting(tx, device, span, extras.messages_max + 1)]

    async def _device_lists(self, tx: ReadTx, extras: DeviceExtras, user_id: UserId) -> DeviceLists:
        if extras.lists_after is None:
            return extras.lists
        upto = await tx.snapshot_position()
        return await self._lists.read(tx, user_id, extras.lists_after, upto)

    def _classic(self, request: SlidingSyncRequest, since: int) -> SyncRequest:
        """The request as /sync would make it."""
        user_id, device_id = request.user_id, request.device_id
        device = self._devices.of(user_id, device_id)
        return SyncRequest(user_id, device_id, device, NO_FILTER, since)
