"""How long to wait before asking again: pure arithmetic, the dice are an argument."""

import math

import msgspec


class Patience(msgspec.Struct, frozen=True):
    """How hard to try: waits double from the first to the longest, within one time limit."""

    total_s: float = 8.0
    """No new attempt starts later than this after the first one."""
    first_wait_s: float = 0.2
    longest_wait_s: float = 30.0


NO_PATIENCE = Patience(total_s=0.0)
ENDLESS_PATIENCE = Patience(total_s=math.inf)


def wait_s(patience: Patience, attempt: int, dice: float) -> float:
    """The wait after a failed attempt (from 1); `dice` in 0..1 spreads a crowd of clients."""
    doubled = patience.first_wait_s * float(2 ** min(attempt - 1, 16))
    return min(doubled, patience.longest_wait_s) * (0.5 + dice / 2)
