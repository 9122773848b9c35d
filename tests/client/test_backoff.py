from hypothesis import given
from hypothesis import strategies as st

from tidings.client.backoff import Patience, wait_s


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_stay_within_their_bounds(attempt: int, dice: float) -> None:
    patience = Patience()
    wait = wait_s(patience, attempt, dice)
    assert patience.first_wait_s / 2 <= wait <= patience.longest_wait_s


def test_waits_double() -> None:
    assert [wait_s(Patience(first_wait_s=1), attempt, 1.0) for attempt in (1, 2, 3)] == [1, 2, 4]
