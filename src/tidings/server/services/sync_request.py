"""What a client asks of /sync, and what one device is known to have been sent."""

from collections import OrderedDict

import msgspec

from tidings.protocol.filters import SYNC_LIMIT_MAX, TIMELINE_LIMIT_DEFAULT, Filter
from tidings.protocol.ids import DeviceId, RoomId, UserId

DEVICES_MAX = 20_000


class SyncRequest(msgspec.Struct, frozen=True):
    """One /sync, its parameters read."""

    user_id: UserId
    device_id: DeviceId
    filter: Filter
    since: int | None = None
    timeout_ms: int = 0
    full_state: bool = False
    state_after: bool = False

    @property
    def events_max(self) -> int:
        """The longest timeline to send for a room."""
        return self.filter.room.timeline.clamped_limit(TIMELINE_LIMIT_DEFAULT, SYNC_LIMIT_MAX)

    @property
    def lazy(self) -> bool:
        """Whether member events come only for those who are seen to act."""
        return self.filter.room.state.lazy_load_members


class _Device(msgspec.Struct):
    known: set[tuple[RoomId, UserId]]
    pending: set[tuple[RoomId, UserId]]
    pending_at: int = -1
    quiet_since: int = -1
    quiet_upto: int = -1


class Devices:
    """What each device is known to have received; forgetting it costs a few bytes, never truth.

    Members that were sent count as known once the device comes back with the
    token they were sent with: an answer that was lost is sent again in full.
    """

    def __init__(self) -> None:
        self._devices: OrderedDict[tuple[UserId, DeviceId], _Device] = OrderedDict()

    def _of(self, request: SyncRequest) -> _Device:
        key = (request.user_id, request.device_id)
        device = self._devices.get(key)
        if device is None:
            device = self._devices[key] = _Device(set(), set())
            if len(self._devices) > DEVICES_MAX:
                self._devices.popitem(last=False)
        return device

    def begin(self, request: SyncRequest) -> None:
        """A request has come: what was sent with its token has arrived."""
        device = self._of(request)
        if request.since is None:
            device.known.clear()
        elif device.pending_at == request.since:
            device.known |= device.pending
        device.pending = set()
        device.pending_at = -1

    def is_known(self, request: SyncRequest, room_id: RoomId, user_id: UserId) -> bool:
        """Whether the device has the member event of the user."""
        return (room_id, user_id) in self._of(request).known

    def sent(
        self, request: SyncRequest, members: set[tuple[RoomId, UserId]], next_position: int
    ) -> None:
        """Member events go out with an answer."""
        device = self._of(request)
        device.pending, device.pending_at = members, next_position

    def quiet(self, request: SyncRequest, upto: int) -> None:
        """There was nothing for the device between its token and a position."""
        device = self._of(request)
        device.quiet_since = -1 if request.since is None else request.since
        device.quiet_upto = upto

    def scan_from(self, request: SyncRequest) -> int:
        """Where to look for news: the token, or beyond it what is known to hold nothing."""
        since = request.since or 0
        device = self._of(request)
        return device.quiet_upto if device.quiet_since == since else since
