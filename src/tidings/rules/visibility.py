"""Who may see which part of a room's history.

What a viewer may see changes only where the room's visibility or the viewer's
membership changes, so it is a list of intervals between those positions.
Source: client-server API, "Room History Visibility".
"""

from collections.abc import Iterator, Sequence

import msgspec


class Interval(msgspec.Struct, frozen=True):
    """Positions from `start` to `end`, both included; an open interval ends with the room."""

    start: int
    end: int | None


def visible_intervals(
    visibility: Sequence[tuple[int, str]], membership: Sequence[tuple[int, str]]
) -> list[Interval]:
    """The parts of a room's history a viewer may see, oldest first.

    The arguments are the values of `m.room.history_visibility` and of the
    viewer's membership, each with the position it was set at, oldest first.
    """
    visible: list[Interval] = []
    for interval in _seen(visibility, membership):
        last = visible[-1] if visible else None
        if last is not None and last.end is not None and last.end + 1 >= interval.start:
            visible[-1] = Interval(last.start, interval.end)
        else:
            visible.append(interval)
    return visible


def can_see(position: int, intervals: Sequence[Interval]) -> bool:
    """Whether one of the intervals holds the position."""
    return any(
        interval.start <= position and (interval.end is None or position <= interval.end)
        for interval in intervals
    )


def _seen(
    visibility: Sequence[tuple[int, str]], membership: Sequence[tuple[int, str]]
) -> Iterator[Interval]:
    # The room's default until it says otherwise is `shared`; everybody begins outside.
    visibilities, memberships = dict(visibility), dict(membership)
    last_join = max((place for place, value in membership if value == "join"), default=-1)
    seen_as, is_as = "shared", "leave"
    start = 0
    for place in sorted(visibilities.keys() | memberships.keys()):
        if start < place and _is_visible(seen_as, is_as, joins_later=last_join >= place):
            yield Interval(start, place - 1)
        # Of an event that changes either, both sides count: what it ends and what it begins.
        later = last_join > place
        sees_before = _is_visible(seen_as, is_as, joins_later=later)
        seen_as = visibilities.get(place, seen_as)
        is_as = memberships.get(place, is_as)
        if sees_before or _is_visible(seen_as, is_as, joins_later=later):
            yield Interval(place, place)
        start = place + 1
    if _is_visible(seen_as, is_as, joins_later=False):
        yield Interval(start, None)


def _is_visible(visibility: str, membership: str, *, joins_later: bool) -> bool:
    if visibility == "world_readable" or membership == "join":
        return True
    if visibility == "invited":
        return membership == "invite"
    # Values nobody understands count as `shared`.
    return visibility != "joined" and joins_later
