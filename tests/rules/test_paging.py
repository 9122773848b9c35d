from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.paging import visible_spans
from tidings.rules.visibility import Interval, can_see

TWO = [Interval(2, 4), Interval(7, None)]


def test_all_is_one_span_where_everything_is_visible() -> None:
    assert visible_spans(None, 3, 9, backwards=True) == [(3, 9)]


def test_spans_come_in_the_order_of_reading() -> None:
    assert visible_spans(TWO, -1, 20, backwards=False) == [(1, 5), (6, 20)]
    assert visible_spans(TWO, -1, 20, backwards=True) == [(6, 20), (1, 5)]


def test_spans_are_cut_to_the_bounds() -> None:
    assert visible_spans(TWO, 2, 9, backwards=False) == [(2, 5), (6, 9)]
    assert visible_spans(TWO, 4, 7, backwards=False) == []


@given(
    st.lists(st.integers(0, 30), unique=True, max_size=8).map(sorted),
    st.integers(-1, 30),
    st.integers(0, 31),
    st.booleans(),
)
def test_spans_hold_just_what_is_visible_between_the_bounds(
    edges: list[int], after: int, before: int, backwards: bool
) -> None:
    pairs = zip(edges[::2], edges[1::2], strict=False)
    intervals = [Interval(start, end) for start, end in pairs]
    spans = visible_spans(intervals, after, before, backwards=backwards)
    covered = [place for low, high in spans for place in range(low + 1, high)]
    assert sorted(covered) == [
        place for place in range(after + 1, before) if can_see(place, intervals)
    ]
