"""The lists of sliding sync: which of a user's rooms are in one, and which part of it is shown.

Source: MSC4186, "Lists" and `SlidingRoomFilter`.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.required_state import Wanted

RANGES_MAX = 10
Ranges: TypeAlias = Sequence[tuple[int, int]]
"""Stretches of a list, both ends included."""


class RoomConfig(msgspec.Struct, frozen=True):
    """How much of a room to send."""

    limit: int
    """The longest timeline."""
    wishes: frozenset[Wanted]

    def joined_with(self, other: "RoomConfig") -> "RoomConfig":
        """What two rules that match the same room want together."""
        return RoomConfig(max(self.limit, other.limit), self.wishes | other.wishes)


class RoomFilter(msgspec.Struct, frozen=True):
    """Which rooms a list is of; what is None does not matter."""

    is_dm: bool | None = None
    is_encrypted: bool | None = None
    is_invite: bool | None = None
    is_invited: bool | None = None
    """The newer name of `is_invite`."""
    spaces: tuple[str, ...] | None = None
    room_types: tuple[str | None, ...] | None = None
    not_room_types: tuple[str | None, ...] | None = None
    tags: tuple[str, ...] | None = None
    not_tags: tuple[str, ...] | None = None

    @property
    def needs_facts(self) -> bool:
        """Whether the rooms' state decides."""
        asked = (self.is_encrypted, self.room_types, self.not_room_types)
        return any(each is not None for each in asked)


class List(msgspec.Struct, frozen=True):
    """One list; all of its rooms are shown where it has no ranges."""

    config: RoomConfig
    filter: RoomFilter
    ranges: tuple[tuple[int, int], ...] | None


class Entry(msgspec.Struct):
    """A room as lists see it."""

    room_id: RoomId
    membership: str
    changed: int
    """Position at which the membership was set."""
    sender: UserId
    """Who set it."""
    was_joined: bool
    position: int
    """The last event that the user knows of: the newest rooms stand first."""
    loud: int = 0
    room_type: str | None = None
    is_encrypted: bool = False
    is_dm: bool = False
    tags: frozenset[str] = frozenset()


def in_ranges(entries: Sequence[Entry], ranges: Ranges | None) -> Sequence[Entry]:
    """The part of a list that is shown."""
    if ranges is None:
        return entries
    return [entry for first, last in ranges for entry in entries[first : last + 1]]


def matches(entry: Entry, wanted: RoomFilter, children: Mapping[str, frozenset[str]]) -> bool:
    """Whether a room belongs to a list; `children` are the rooms in each space."""
    is_invite = entry.membership == "invite"
    return (
        wanted.is_dm in (None, entry.is_dm)
        and wanted.is_encrypted in (None, entry.is_encrypted)
        and wanted.is_invite in (None, is_invite)
        and wanted.is_invited in (None, is_invite)
        and (wanted.room_types is None or entry.room_type in wanted.room_types)
        and (wanted.not_room_types is None or entry.room_type not in wanted.not_room_types)
        and (wanted.tags is None or not entry.tags.isdisjoint(wanted.tags))
        and (wanted.not_tags is None or entry.tags.isdisjoint(wanted.not_tags))
        and (
            wanted.spaces is None
            or any(entry.room_id in children.get(space, ()) for space in wanted.spaces)
        )
    )
