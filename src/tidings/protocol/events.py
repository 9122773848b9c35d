"""Events as values: what a sender asks for, what the room holds, what a client is shown.

An event is serialised once, when it is appended. `Event.json` holds the
client format without `room_id` and `unsigned`; readers splice those in.
Values are frozen msgspec structs: as immutable as frozen dataclasses and ten
times cheaper to make.
"""

from typing import TypeAlias

import msgspec

from tidings.protocol.ids import DeviceId, EventId, RoomId, StreamPosition, UserId

JsonObject: TypeAlias = dict[str, object]


class Draft(msgspec.Struct, frozen=True):
    """An event before it is authorised and placed in its room."""

    room_id: RoomId
    type: str
    sender: UserId
    content: JsonObject
    state_key: str | None = None
    redacts: EventId | None = None
    """The event to be redacted, whatever the room version calls the place it is kept in."""


class Event(msgspec.Struct, frozen=True):
    """An event in its place in a room's history."""

    position: StreamPosition
    room_id: RoomId
    event_id: EventId
    type: str
    sender: UserId
    state_key: str | None
    origin_server_ts: int
    """Milliseconds since the epoch."""
    content: JsonObject
    json: bytes
    """Client format, ending in `}`, without room_id and unsigned."""
    replaces: StreamPosition | None = None
    """For state: the position of the state event of the same key that it replaced."""
    relates_to: EventId | None = None
    rel_type: str | None = None
    thread_id: EventId | None = None
    redacted_by: EventId | None = None
    loud: int = 0
    """How many main-timeline events up to and including this one notify an ordinary member."""
    is_loud: bool = False
    """Whether this event itself notifies an ordinary member."""
    device_id: DeviceId | None = None
    txn_id: str | None = None
    """The sending device and its transaction id, shown back to that device only."""
    unsigned: bytes = b""
    """Members of `unsigned` that are the same for every reader, without braces."""
