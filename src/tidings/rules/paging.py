"""Which stretches of a room's history a page is read from.

A page goes through the intervals its viewer may see, one after the other, and
never looks at what lies between them.
"""

from collections.abc import Sequence

from tidings.rules.visibility import Interval

END = 2**62
"""After every position there will be."""


def visible_spans(
    intervals: Sequence[Interval] | None, after: int, before: int, *, backwards: bool
) -> list[tuple[int, int]]:
    """The visible stretches between two positions, as (after, before), in the order of reading.

    Neither bound is included; `intervals` is None where everything is visible.
    """
    if intervals is None:
        spans = [(after, before)]
    else:
        spans = [
            (
                max(after, interval.start - 1),
                before if interval.end is None else min(before, interval.end + 1),
            )
            for interval in intervals
        ]
    spans = [span for span in spans if span[0] + 1 < span[1]]
    return spans[::-1] if backwards else spans
