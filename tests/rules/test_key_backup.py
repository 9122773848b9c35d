import pytest

from tidings.rules.key_backup import KeyRank, is_better


@pytest.mark.parametrize(
    ("new", "held", "better"),
    [
        ((9, 9, True), (0, 0, False), True),
        ((0, 0, False), (9, 9, True), False),
        ((1, 9, True), (2, 0, True), True),
        ((2, 0, True), (1, 9, True), False),
        ((1, 0, False), (1, 1, False), True),
        ((1, 1, False), (1, 0, False), False),
        ((1, 1, True), (1, 1, True), False),
    ],
)
def test_which_key_is_kept(
    new: tuple[int, int, bool], held: tuple[int, int, bool], better: bool
) -> None:
    assert is_better(KeyRank(*new), KeyRank(*held)) is better
