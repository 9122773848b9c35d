"""What /sync answers, assembled from values: no query, no clock, no waiting.

Events come here already presented as bytes and are spliced, never encoded
again. Source: client-server API, `GET /sync`.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.rules.stream import PresenceChanged, ReceiptMoved

_encode = msgspec.json.Encoder().encode

MEMBER = "m.room.member"
NO_KEYS = b'"device_one_time_keys_count":{},"device_unused_fallback_key_types":[]'
"""What a device is told that has uploaded no one-time and fallback keys."""
STRIPPED_TYPES = frozenset(
    {
        "m.room.create",
        "m.room.name",
        "m.room.avatar",
        "m.room.topic",
        "m.room.join_rules",
        "m.room.canonical_alias",
        "m.room.encryption",
    }
)


class Timeline(msgspec.Struct, frozen=True):
    """A stretch of a room's history up to the present."""

    events: Sequence[bytes]
    limited: bool
    prev_batch: str


class Counts(msgspec.Struct, frozen=True):
    """Unread counts of a room and of its threads."""

    notifications: int = 0
    highlights: int = 0
    threads: Mapping[str, tuple[int, int]] = {}


class RoomUpdate(msgspec.Struct, frozen=True):
    """What a joined or left room has to tell."""

    timeline: Timeline
    state: Sequence[bytes] = ()
    state_is_after: bool = False
    """Whether the state is that after the timeline instead of that before it."""
    ephemeral: Sequence[bytes] = ()
    account_data: Sequence[bytes] = ()
    counts: Counts | None = None
    summary: Mapping[str, object] = {}


class DeviceLists(msgspec.Struct, frozen=True):
    """Users whose keys must be asked for again, and users who are met no more."""

    changed: Sequence[UserId] = ()
    left: Sequence[UserId] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.left)


class Update(msgspec.Struct, frozen=True):
    """All that one sync has to tell; rooms are already assembled."""

    next_batch: str
    joined: Mapping[RoomId, bytes] = {}
    invited: Mapping[RoomId, bytes] = {}
    knocked: Mapping[RoomId, bytes] = {}
    left: Mapping[RoomId, bytes] = {}
    account_data: Sequence[bytes] = ()
    presence: Sequence[bytes] = ()
    to_device: Sequence[bytes] = ()
    device_lists: DeviceLists = DeviceLists()
    key_counts: bytes = NO_KEYS
    """Members that are told with every answer and are no news."""

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell."""
        return bool(
            self.joined or self.invited or self.knocked or self.left
            or self.account_data or self.presence or self.to_device or self.device_lists
        )  # fmt: skip


def assemble(update: Update) -> bytes:
    """The body of the answer."""
    parts = [b'{"next_batch":', _encode(update.next_batch)]
    rooms = [
        b'"%b":{%b}' % (name, _members(section))
        for name, section in (
            (b"join", update.joined), (b"invite", update.invited),
            (b"knock", update.knocked), (b"leave", update.left),
        )
        if section
    ]  # fmt: skip
    if rooms:
        parts.append(b',"rooms":{' + b",".join(rooms) + b"}")
    if update.account_data:
        parts.append(b',"account_data":{"events":[' + b",".join(update.account_data) + b"]}")
    if update.presence:
        parts.append(b',"presence":{"events":[' + b",".join(update.presence) + b"]}")
    if update.to_device:
        parts.append(b',"to_device":{"events":[' + b",".join(update.to_device) + b"]}")
    if update.device_lists:
        parts.append(b',"device_lists":' + _encode(update.device_lists))
    parts.append(b",%b}" % update.key_counts)
    return b"".join(parts)


def _members(section: Mapping[RoomId, bytes]) -> bytes:
    return b",".join(b"%b:%b" % (_encode(room_id), body) for room_id, body in section.items())


def assemble_timeline(timeline: Timeline) -> bytes:
    """The timeline member of a room, the same for everybody who sees the same events."""
    return b'"timeline":{"events":[%b],"limited":%b,"prev_batch":%b}' % (
        b",".join(timeline.events),
        b"true" if timeline.limited else b"false",
        _encode(timeline.prev_batch),
    )


def assemble_events(name: bytes, events: Sequence[bytes]) -> bytes:
    """A member of a room that is a list of events."""
    return b'"%b":{"events":[%b]}' % (name, b",".join(events))


def assemble_counts(counts: Counts) -> bytes:
    """The unread members of a room."""
    main = b'"unread_notifications":{"highlight_count":%d,"notification_count":%d}' % (
        counts.highlights,
        counts.notifications,
    )
    if not counts.threads:
        return main
    threads = {
        thread: {"notification_count": notifications, "highlight_count": highlights}
        for thread, (notifications, highlights) in counts.threads.items()
    }
    return main + b',"unread_thread_notifications":' + _encode(threads)


def assemble_room(update: RoomUpdate) -> bytes:
    """One joined or left room."""
    state = b"state_after" if update.state_is_after else b"state"
    parts = [
        assemble_timeline(update.timeline),
        assemble_events(state, update.state),
        assemble_events(b"account_data", update.account_data),
    ]
    if update.counts is not None:
        parts.append(assemble_events(b"ephemeral", update.ephemeral))
        parts.append(assemble_counts(update.counts))
        parts.append(b'"summary":' + _encode(update.summary))
    return b"{" + b",".join(parts) + b"}"


def stripped(event: Event) -> bytes:
    """A state event as people outside the room are shown it."""
    return _encode(
        {
            "type": event.type,
            "state_key": event.state_key,
            "sender": event.sender,
            "content": event.content,
        }
    )


def assemble_stripped(name: bytes, events: Iterable[Event]) -> bytes:
    """An invited or knocked room: `name` is invite_state or knock_state."""
    return b"{" + assemble_events(name, [stripped(event) for event in events]) + b"}"


_ReceiptContent = dict[EventId, dict[str, dict[UserId, dict[str, object]]]]


def assemble_receipts(receipts: Iterable[ReceiptMoved], viewer: UserId) -> list[bytes]:
    """The m.receipt events of a room; private receipts are their owner's alone.

    Mostly it is one: a second is needed where somebody has read up to the same
    event in the room and in a thread of it, which one cannot say.
    """
    contents: list[_ReceiptContent] = []
    for receipt in receipts:
        if receipt.receipt_type != "m.read.private" or receipt.user_id == viewer:
            _add_receipt(contents, receipt)
    return [_encode({"type": "m.receipt", "content": content}) for content in contents]


def _add_receipt(contents: list[_ReceiptContent], receipt: ReceiptMoved) -> None:
    said: dict[str, object] = {"ts": receipt.ts}
    if receipt.thread_id:
        said["thread_id"] = receipt.thread_id
    for content in contents:
        readers = content.setdefault(receipt.event_id, {}).setdefault(receipt.receipt_type, {})
        if readers.setdefault(receipt.user_id, said) is said:
            return
    contents.append({receipt.event_id: {receipt.receipt_type: {receipt.user_id: said}}})


def assemble_typing(user_ids: Sequence[UserId]) -> bytes:
    """The m.typing event of a room."""
    return _encode({"type": "m.typing", "content": {"user_ids": user_ids}})


def assemble_account_data(type_: str, content: bytes) -> bytes:
    """An account data event."""
    return b'{"type":%b,"content":%b}' % (_encode(type_), content)


def assemble_presence(change: PresenceChanged, now_ms: int) -> bytes:
    """An m.presence event."""
    content: dict[str, object] = {
        "presence": change.presence,
        "currently_active": change.presence == "online",
    }
    if change.last_active_ts:
        content["last_active_ago"] = max(0, now_ms - change.last_active_ts)
    if change.status_msg is not None:
        content["status_msg"] = change.status_msg
    return _encode({"type": "m.presence", "sender": change.user_id, "content": content})


def latest_state(events: Iterable[Event]) -> dict[tuple[str, str | None], Event]:
    """The last state event of each key among events in order."""
    return {(event.type, event.state_key): event for event in events if event.state_key is not None}


def summary_of(joined: int, invited: int, heroes: Sequence[UserId] | None) -> dict[str, object]:
    """The room's summary; heroes only for rooms without a name."""
    summary: dict[str, object] = {
        "m.joined_member_count": joined,
        "m.invited_member_count": invited,
    }
    if heroes is not None:
        summary["m.heroes"] = list(heroes)
    return summary
