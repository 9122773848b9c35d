"""Events as values: what a sender asks for, what the room holds, what a client is shown.

An event is serialised once, when it is appended. `Event.json` holds the
client format without `room_id` and `unsigned`; readers splice those in.
Values are frozen msgspec structs: as immutable as frozen dataclasses and ten
times cheaper to make.
"""

from functools import cached_property
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


class _Content(msgspec.Struct):
    content: JsonObject


class _RawContent(msgspec.Struct):
    content: msgspec.Raw


_decode = msgspec.json.Decoder(_Content).decode
_decode_raw = msgspec.json.Decoder(_RawContent).decode


class Event(msgspec.Struct, frozen=True, dict=True):
    """An event in its place in a room's history.

    The fields stand in the order in which storage reads them, so that a row
    becomes an event without Python code of ours.
    """

    position: StreamPosition
    event_id: EventId
    room_id: RoomId
    type: str
    state_key: str | None
    sender: UserId
    origin_server_ts: int
    """Milliseconds since the epoch."""
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
    is_loud: int = 0
    """1 if this event itself notifies an ordinary member, else 0."""
    device_id: DeviceId | None = None
    txn_id: str | None = None
    """The sending device and its transaction id, shown back to that device only."""
    replaced_json: bytes | None = None
    """The replaced state event, as it is now, with its id and sender."""
    replaced_id: EventId | None = None
    replaced_sender: UserId | None = None

    @cached_property
    def content(self) -> JsonObject:
        """The content, read from `json` when first asked for: most events are only passed on."""
        return _decode(self.json).content

    @cached_property
    def replaced_members(self) -> bytes:
        """The members of `unsigned` that tell what a state event replaced, without braces."""
        if self.replaced_json is None:
            return b""
        content = bytes(_decode_raw(self.replaced_json).content)
        ids = {"prev_sender": self.replaced_sender, "replaces_state": self.replaced_id}
        return b'"prev_content":' + content + b"," + msgspec.json.encode(ids)[1:-1]
