"""What a commit changed, as values: the one vocabulary of replicas, feed and sync.

Every change has the position it was committed at. Whoever applies all changes
in position order holds the same view as the process that made them.
"""

from typing import TypeAlias

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import DeviceId, EventId, RoomId, StreamPosition, UserId


class Notice(msgspec.Struct, frozen=True):
    """That an event notifies one member otherwise than it notifies an ordinary member."""

    user_id: UserId
    notify: bool
    highlight: bool


class EventAppended(msgspec.Struct, frozen=True):
    """An event was added to a room's history; all else about rooms follows from these."""

    position: StreamPosition
    event: Event
    notices: tuple[Notice, ...] = ()
    redacted: Event | None = None
    """The redacted form of the event that this one redacts."""


class ReceiptMoved(msgspec.Struct, frozen=True):
    """A user read up to an event, in the whole room or in one thread of it."""

    position: StreamPosition
    room_id: RoomId
    user_id: UserId
    receipt_type: str
    thread_id: str
    """`main`, a thread root, or empty for the whole room."""
    event_id: EventId
    event_position: StreamPosition
    loud: int
    """`Event.loud` of that event."""
    ts: int


class TypingChanged(msgspec.Struct, frozen=True):
    """A user started or stopped typing; `until_ts` is 0 when stopped."""

    position: StreamPosition
    room_id: RoomId
    user_id: UserId
    until_ts: int


class AccountDataChanged(msgspec.Struct, frozen=True):
    """A user's data changed, global (`room_id` empty) or for a room; content `{}` deletes it."""

    position: StreamPosition
    user_id: UserId
    room_id: RoomId
    type: str
    content: bytes


class PresenceChanged(msgspec.Struct, frozen=True):
    """A user's presence, as the content of an m.presence event."""

    position: StreamPosition
    user_id: UserId
    presence: str
    status_msg: str | None
    last_active_ts: int


class SessionChanged(msgspec.Struct, frozen=True):
    """Tokens of a user's device are no longer what they were: ended, locked, renamed, rotated."""

    position: StreamPosition
    user_id: UserId
    device_id: DeviceId


class RoomForgotten(msgspec.Struct, frozen=True):
    """A user forgot a room they had left."""

    position: StreamPosition
    user_id: UserId
    room_id: RoomId


class DeviceListChanged(msgspec.Struct, frozen=True):
    """The keys of a user's devices or of the user themselves are no longer what they were."""

    position: StreamPosition
    user_id: UserId
    rooms: frozenset[RoomId]
    """The rooms that the user was in: their members are told."""
    seen_by: UserId
    """The only user who is told; empty for the members of the rooms."""


class KeyCountsChanged(msgspec.Struct, frozen=True):
    """One-time or fallback keys of a device were uploaded or claimed."""

    position: StreamPosition
    user_id: UserId
    device_id: DeviceId
    counts: bytes
    """What /sync tells of them: two members of a JSON object, without braces."""


class ToDeviceQueued(msgspec.Struct, frozen=True):
    """A message waits for a device; what is sent to many devices at once has one position."""

    position: StreamPosition
    user_id: UserId
    device_id: DeviceId
    message: bytes


class PushersChanged(msgspec.Struct, frozen=True):
    """A user's pushers are no longer those they were."""

    position: StreamPosition
    user_id: UserId


Change: TypeAlias = (
    EventAppended
    | ReceiptMoved
    | TypingChanged
    | AccountDataChanged
    | PresenceChanged
    | SessionChanged
    | RoomForgotten
    | DeviceListChanged
    | KeyCountsChanged
    | ToDeviceQueued
    | PushersChanged
)
