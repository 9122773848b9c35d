"""Which events a client wants: the filters of /sync, /messages, /context and /search.

A filter is parsed once and asked often: `is_everything` spares a caller the
question. Source: client-server API, "Filtering".
"""

from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

import msgspec

from tidings.protocol.errors import BadJson
from tidings.protocol.events import Event
from tidings.protocol.globs import Glob, compile_stars

TIMELINE_LIMIT_DEFAULT = 10
SYNC_LIMIT_MAX = 100
MESSAGES_LIMIT_MAX = 1000


class TypeSet(msgspec.Struct, frozen=True):
    """Event types, some of them with `*` for any text."""

    exact: frozenset[str]
    globs: tuple[Glob, ...]

    def __contains__(self, type: str) -> bool:
        return type in self.exact or any(glob.matches(type) for glob in self.globs)


class EventFilter(msgspec.Struct, frozen=True):
    """A choice by type and sender; `limit` is what the client asked for."""

    limit: int | None = None
    types: TypeSet | None = None
    not_types: TypeSet | None = None
    senders: frozenset[str] | None = None
    not_senders: frozenset[str] = frozenset()
    is_everything: bool = True
    """Whether every event passes; limits and lazy loading do not count."""

    def passes_type(self, type: str, sender: str | None = None) -> bool:
        """Whether data of the type and sender passes; account data has no sender."""
        if self.is_everything:
            return True
        if sender in self.not_senders or (self.senders is not None and sender not in self.senders):
            return False
        if self.not_types is not None and type in self.not_types:
            return False
        return self.types is None or type in self.types

    def clamped_limit(self, default: int, maximum: int) -> int:
        """How many events to return: what was asked for, within reason."""
        return min(default if self.limit is None else self.limit, maximum)


class RoomEventFilter(EventFilter, frozen=True):
    """A choice of the events of rooms."""

    rooms: frozenset[str] | None = None
    not_rooms: frozenset[str] = frozenset()
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False

    def allows_room(self, room_id: str) -> bool:
        """Whether events of the room can pass at all."""
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)

    def passes(self, event: Event) -> bool:
        """Whether the event passes."""
        if self.is_everything:
            return True
        if not self.allows_room(event.room_id) or not self.passes_type(event.type, event.sender):
            return False
        return self.contains_url is None or self.contains_url == ("url" in event.content)


class RoomFilter(msgspec.Struct, frozen=True):
    """What of which rooms goes into a sync."""

    rooms: frozenset[str] | None = None
    not_rooms: frozenset[str] = frozenset()
    include_leave: bool = False
    timeline: RoomEventFilter = RoomEventFilter()
    state: RoomEventFilter = RoomEventFilter()
    ephemeral: RoomEventFilter = RoomEventFilter()
    account_data: RoomEventFilter = RoomEventFilter()

    def allows_room(self, room_id: str) -> bool:
        """Whether the room goes into the sync at all."""
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)


class Filter(msgspec.Struct, frozen=True):
    """What goes into a sync."""

    event_fields: tuple[str, ...] | None = None
    """Dot-separated paths of the members to show; None for all."""
    event_format: str = "client"
    presence: EventFilter = EventFilter()
    account_data: EventFilter = EventFilter()
    room: RoomFilter = RoomFilter()

    @property
    def is_plain(self) -> bool:
        """Whether every event of every room passes, threads counted in with their rooms."""
        room = self.room
        return (
            room.rooms is None
            and not room.not_rooms
            and room.timeline.is_everything
            and not room.timeline.unread_thread_notifications
        )


def parse_filter(value: object) -> Filter:
    """The filter of a sync; raises BadJson for members of wrong types."""
    wire = _convert(value, _WireFilter)
    room = wire.room or _WireRoomFilter()
    return Filter(
        event_fields=None if wire.event_fields is None else tuple(wire.event_fields),
        event_format=wire.event_format or "client",
        presence=_event_filter(wire.presence or _WireEventFilter()),
        account_data=_event_filter(wire.account_data or _WireEventFilter()),
        room=RoomFilter(
            rooms=_set_or_none(room.rooms),
            not_rooms=frozenset(room.not_rooms or ()),
            include_leave=bool(room.include_leave),
            timeline=_room_event_filter(room.timeline),
            state=_room_event_filter(room.state),
            ephemeral=_room_event_filter(room.ephemeral),
            account_data=_room_event_filter(room.account_data),
        ),
    )


def parse_room_event_filter(value: object) -> RoomEventFilter:
    """The filter of /messages, /context and /search; raises BadJson."""
    return _room_event_filter(_convert(value, _WireRoomEventFilter))


_SomeUserId = Annotated[str, msgspec.Meta(pattern="^@")]
_SomeRoomId = Annotated[str, msgspec.Meta(pattern="^!")]


class _WireEventFilter(msgspec.Struct):
    # COMPAT(clients that ask for no timeline at all): the spec wants limits
    # above 0, but 0 is sent in earnest and its meaning is plain.
    limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    types: list[str] | None = None
    not_types: list[str] | None = None
    senders: list[_SomeUserId] | None = None
    not_senders: list[_SomeUserId] | None = None


class _WireRoomEventFilter(_WireEventFilter):
    rooms: list[_SomeRoomId] | None = None
    not_rooms: list[_SomeRoomId] | None = None
    contains_url: bool | None = None
    lazy_load_members: bool | None = None
    include_redundant_members: bool | None = None
    unread_thread_notifications: bool | None = None


class _WireRoomFilter(msgspec.Struct):
    rooms: list[_SomeRoomId] | None = None
    not_rooms: list[_SomeRoomId] | None = None
    include_leave: bool | None = None
    timeline: _WireRoomEventFilter | None = None
    state: _WireRoomEventFilter | None = None
    ephemeral: _WireRoomEventFilter | None = None
    account_data: _WireRoomEventFilter | None = None


class _WireFilter(msgspec.Struct):
    event_fields: list[str] | None = None
    event_format: Literal["client", "federation"] | None = None
    presence: _WireEventFilter | None = None
    account_data: _WireEventFilter | None = None
    room: _WireRoomFilter | None = None


_Wire = TypeVar("_Wire")


def _convert(value: object, shape: type[_Wire]) -> _Wire:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise BadJson(f"Invalid filter: {error}") from None


def _event_filter(wire: _WireEventFilter) -> EventFilter:
    return EventFilter(
        limit=wire.limit,
        types=None if wire.types is None else _type_set(wire.types),
        not_types=_type_set(wire.not_types) if wire.not_types else None,
        senders=_set_or_none(wire.senders),
        not_senders=frozenset(wire.not_senders or ()),
        is_everything=_is_everything(wire),
    )


def _room_event_filter(wire: _WireRoomEventFilter | None) -> RoomEventFilter:
    if wire is None:
        return RoomEventFilter()
    everywhere = wire.rooms is None and not wire.not_rooms and wire.contains_url is None
    chosen = _event_filter(wire)
    return RoomEventFilter(
        limit=chosen.limit,
        types=chosen.types,
        not_types=chosen.not_types,
        senders=chosen.senders,
        not_senders=chosen.not_senders,
        is_everything=chosen.is_everything and everywhere,
        rooms=_set_or_none(wire.rooms),
        not_rooms=frozenset(wire.not_rooms or ()),
        contains_url=wire.contains_url,
        lazy_load_members=bool(wire.lazy_load_members),
        include_redundant_members=bool(wire.include_redundant_members),
        unread_thread_notifications=bool(wire.unread_thread_notifications),
    )


def _is_everything(wire: _WireEventFilter) -> bool:
    return (
        wire.types is None and wire.senders is None and not wire.not_types and not wire.not_senders
    )


def _type_set(types: Iterable[str]) -> TypeSet:
    plain = frozenset(type for type in types if "*" not in type)
    globs = tuple(compile_stars(type) for type in types if "*" in type)
    return TypeSet(plain, globs)


def _set_or_none(values: Iterable[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)
