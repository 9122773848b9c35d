import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.byte_ranges import NotSatisfiable, Span, parse_range


@pytest.mark.parametrize(
    ("header", "size", "span"),
    [
        (None, 10, None),
        ("bytes=0-", 10, Span(0, 10)),
        ("bytes=2-3", 10, Span(2, 2)),
        ("bytes=2-99", 10, Span(2, 8)),
        ("bytes=-3", 10, Span(7, 3)),
        ("bytes=-99", 10, Span(0, 10)),
        ("bytes=3-2", 10, None),
        ("bytes=0-1, 4-5", 10, None),
        ("bytes=-", 10, None),
        ("items=0-1", 10, None),
        ("bytes=" + "9" * 30 + "-", 10, None),
    ],
)
def test_what_a_header_asks_for(header: str | None, size: int, span: Span | None) -> None:
    assert parse_range(header, size) == span


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_nothing_behind_the_end(header: str, size: int) -> None:
    with pytest.raises(NotSatisfiable):
        parse_range(header, size)


def test_how_a_span_is_told() -> None:
    assert Span(7, 3).content_range(10) == "bytes 7-9/10"


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_a_span_lies_within_the_file(first: int, last: int, size: int) -> None:
    try:
        span = parse_range(f"bytes={first}-{last}", size)
    except NotSatisfiable:
        assert first >= size
        return
    if span is not None:
        assert 0 <= span.first < span.first + span.length <= size
