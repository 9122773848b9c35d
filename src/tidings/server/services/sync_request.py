"""What a client asks of /sync, and what one device is known to have been sent."""

from collections import OrderedDict
from typing import TypeAlias

import msgspec

from tidings.protocol.filters import SYNC_LIMIT_MAX, TIMELINE_LIMIT_DEFAULT, Filter
from tidings.protocol.ids import DeviceId, RoomId, UserId
from tidings.protocol.tokens import format_token

DEVICES_MAX = 20_000
Seen: TypeAlias = tuple[RoomId, UserId, int]
"""A member of a room, and the position at which the device's user entered it: what was known
before they left is known no longer when they come back."""


class DeviceMemory(msgspec.Struct):
    """What one device is known to have; forgetting it costs a few bytes, never truth.

    Members that were sent count as known once the device comes back with the
    token they were sent with: an answer that was lost is sent again in full,
    and a device that goes back to an older token has lost what came after it.
    """

    known: set[Seen]
    """Member events that have arrived."""
    known_at: int = -1
    """The newest token the device has come with."""
    pending: set[Seen] | None = None
    pending_at: int = -1
    quiet_since: int = -1
    """The token after which there was nothing for the device up to `quiet_upto`."""
    quiet_upto: int = -1
    quiet_filter: Filter | None = None
    """Nothing that this filter shows; another may show something."""
    acknowledged: int = 0
    """Messages to the device up to here have arrived and are being deleted."""

    def arrived(self, since: int | None) -> None:
        """The device comes with a token: what was sent together with it has arrived."""
        if since is None or since < self.known_at:
            self.known.clear()
        elif self.pending and self.pending_at == since:
            self.known |= self.pending
        self.known_at = -1 if since is None else since
        self.pending = None

    def sent(self, members: set[Seen], next_position: int) -> None:
        """Member events go out with an answer."""
        self.pending, self.pending_at = members, next_position

    def quiet(self, request: "SyncRequest", upto: int) -> None:
        """There was nothing for the device between its token and a position."""
        self.quiet_since, self.quiet_upto = request.since or 0, upto
        self.quiet_filter = request.filter

    def scan_from(self, request: "SyncRequest") -> int:
        """Where to look for news: the token, or beyond it what is known to hold nothing."""
        since = request.since or 0
        is_same = self.quiet_since == since and self.quiet_filter is request.filter
        return self.quiet_upto if is_same else since


class Devices:
    """The devices that sync."""

    def __init__(self) -> None:
        self._devices: OrderedDict[tuple[UserId, DeviceId], DeviceMemory] = OrderedDict()

    def of(self, user_id: UserId, device_id: DeviceId) -> DeviceMemory:
        """What is known of a device."""
        key = (user_id, device_id)
        device = self._devices.get(key)
        if device is None:
            device = self._devices[key] = DeviceMemory(set())
            if len(self._devices) > DEVICES_MAX:
                self._devices.popitem(last=False)
        return device


class SyncRequest(msgspec.Struct, frozen=True):
    """One /sync, its parameters read."""

    user_id: UserId
    device_id: DeviceId
    device: DeviceMemory
    filter: Filter
    since: int | None = None
    timeout_ms: int = 0
    full_state: bool = False
    state_after: bool = False
    queue_since: int | None = None
    """Where the messages to the device begin, if that is before `since`."""

    @property
    def token(self) -> str:
        """The token that the device came with."""
        return format_token(self.since or 0, self.queue_since)

    @property
    def delivered(self) -> int:
        """Up to where the device has its messages."""
        return (self.since or 0) if self.queue_since is None else self.queue_since

    @property
    def events_max(self) -> int:
        """The longest timeline to send for a room."""
        return self.filter.room.timeline.clamped_limit(TIMELINE_LIMIT_DEFAULT, SYNC_LIMIT_MAX)

    @property
    def lazy(self) -> bool:
        """Whether member events come only for those who are seen to act."""
        return self.filter.room.state.lazy_load_members
