import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.visibility import Interval, can_see, visible_intervals

History = list[tuple[int, str]]


@pytest.mark.parametrize(
    ("visibility", "membership", "expected"),
    [
        # Whoever is in, or comes later, sees all that was sent while it was shared.
        ([], [(10, "join")], [(0, None)]),
        ([(5, "shared")], [(10, "join")], [(0, None)]),
        ([(5, "shared")], [(10, "join"), (20, "leave")], [(0, 20)]),
        ([(5, "shared")], [(10, "join"), (20, "leave"), (30, "join")], [(0, None)]),
        ([(5, "shared")], [(10, "invite")], []),
        ([(5, "shared")], [(10, "invite"), (12, "leave")], []),
        ([(5, "shared")], [], []),
        ([(5, "nonsense")], [(10, "join")], [(0, None)]),
        # Everybody sees what was sent while the world could read, and its bounds.
        ([(5, "world_readable")], [], [(5, None)]),
        ([(5, "world_readable"), (9, "joined")], [], [(5, 9)]),
        ([(5, "world_readable")], [(7, "join"), (9, "leave")], [(0, None)]),
        ([(5, "world_readable")], [(7, "ban")], [(5, None)]),
        # Members see what was sent while they were in, and their own coming and going.
        ([(5, "joined")], [(10, "join")], [(0, 5), (10, None)]),
        ([(1, "joined")], [(10, "invite"), (12, "join"), (20, "leave")], [(0, 1), (12, 20)]),
        (
            [(1, "joined")],
            [(10, "join"), (20, "ban"), (30, "join")],
            [(0, 1), (10, 20), (30, None)],
        ),
        # The invited see from their invitation on.
        ([(1, "invited")], [(10, "invite")], [(10, None)]),
        ([(1, "invited")], [(10, "invite"), (12, "leave")], [(10, 12)]),
        ([(1, "invited")], [(10, "invite"), (12, "join"), (20, "leave")], [(0, 1), (10, 20)]),
        ([(1, "invited")], [(10, "knock"), (12, "leave")], []),
        # What was hidden when it was sent stays so.
        ([(1, "joined"), (10, "shared")], [(20, "join")], [(0, 1), (10, None)]),
    ],
)
def test_intervals(
    visibility: History, membership: History, expected: list[tuple[int, int | None]]
) -> None:
    intervals = visible_intervals(visibility, membership)
    assert [(interval.start, interval.end) for interval in intervals] == expected


def test_can_see() -> None:
    intervals = [Interval(3, 5), Interval(9, None)]
    seen = [position for position in range(12) if can_see(position, intervals)]
    assert seen == [3, 4, 5, 9, 10, 11]


def _value_at(history: History, position: int, default: str) -> str:
    return next((value for at, value in reversed(history) if at <= position), default)


def _allowed(visibility: str, membership: str, joined_later: bool) -> bool:
    """The five rules of the spec, as they stand there."""
    if visibility not in ("world_readable", "invited", "joined"):
        visibility = "shared"
    if visibility == "world_readable" or membership == "join":
        return True
    if visibility == "shared" and joined_later:
        return True
    return membership == "invite" and visibility == "invited"


_VISIBILITIES = st.sampled_from(["world_readable", "shared", "invited", "joined", "nonsense"])
_MEMBERSHIPS = st.sampled_from(["join", "invite", "leave", "ban", "knock"])


@given(st.lists(st.tuples(st.booleans(), _VISIBILITIES, _MEMBERSHIPS, st.integers(1, 3))))
def test_every_event_by_the_rules_of_the_spec(
    changes: list[tuple[bool, str, str, int]],
) -> None:
    visibility: History = []
    membership: History = []
    position = 0
    for is_visibility, visible_to, member_as, distance in changes:
        position += distance
        if is_visibility:
            visibility.append((position, visible_to))
        else:
            membership.append((position, member_as))
    intervals = visible_intervals(visibility, membership)
    for at in range(position + 3):
        later = any(place > at and value == "join" for place, value in membership)
        expected = any(
            _allowed(
                _value_at(visibility, side, "shared"), _value_at(membership, side, "leave"), later
            )
            for side in (at - 1, at)
        )
        assert can_see(at, intervals) == expected
    ends = [interval.end for interval in intervals[:-1]]
    assert all(end is not None for end in ends)
