"""The shape of an answer to /sync, as far as a client relies on it.

Events stay JSON objects: what is inside them was written by anybody and is read with care where it
is used. Source: client-server API, "GET /_matrix/client/v3/sync".
"""

import msgspec

from tidings.protocol.events import JsonObject


class EventList(msgspec.Struct, frozen=True):
    """`{"events": [...]}`, the form of nearly every part of the answer."""

    events: list[JsonObject] = []


class Timeline(msgspec.Struct, frozen=True):
    """What happened in a room, oldest first."""

    events: list[JsonObject] = []
    limited: bool = False
    """Older events since the last answer were left out; `prev_batch` leads to them."""
    prev_batch: str | None = None


class UnreadCounts(msgspec.Struct, frozen=True):
    """What the server counts as not yet read."""

    notification_count: int = 0
    highlight_count: int = 0


class JoinedRoom(msgspec.Struct, frozen=True):
    """News of a room we are in."""

    timeline: Timeline = Timeline()
    state: EventList = EventList()
    state_after: EventList | None = None
    ephemeral: EventList = EventList()
    account_data: EventList = EventList()
    summary: JsonObject = {}
    unread_notifications: UnreadCounts | None = None
    unread_thread_notifications: dict[str, UnreadCounts] = {}


class LeftRoom(msgspec.Struct, frozen=True):
    """The last news of a room we are no longer in."""

    timeline: Timeline = Timeline()
    state: EventList = EventList()
    state_after: EventList | None = None
    account_data: EventList = EventList()


class InvitedRoom(msgspec.Struct, frozen=True):
    """What is told of a room we are invited to."""

    invite_state: EventList = EventList()


class KnockedRoom(msgspec.Struct, frozen=True):
    """What is told of a room we asked to be let into."""

    knock_state: EventList = EventList()


class Rooms(msgspec.Struct, frozen=True):
    """The rooms with news, by our membership."""

    join: dict[str, JoinedRoom] = {}
    invite: dict[str, InvitedRoom] = {}
    knock: dict[str, KnockedRoom] = {}
    leave: dict[str, LeftRoom] = {}


class DeviceLists(msgspec.Struct, frozen=True):
    """Whose devices changed, and who shares no encrypted room with us any more."""

    changed: list[str] = []
    left: list[str] = []


class SyncResponse(msgspec.Struct, frozen=True):
    """Everything that is new since a token."""

    next_batch: str
    rooms: Rooms = Rooms()
    account_data: EventList = EventList()
    presence: EventList = EventList()
    to_device: EventList = EventList()
    device_lists: DeviceLists = DeviceLists()
    device_one_time_keys_count: dict[str, int] = {}
    device_unused_fallback_key_types: list[str] | None = None


def parse_sync(response: JsonObject) -> SyncResponse:
    """The typed form of a decoded answer; raises msgspec.ValidationError."""
    return msgspec.convert(response, SyncResponse)
