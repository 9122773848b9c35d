import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.protocol.errors import InvalidParam
from tidings.protocol.tokens import format_token, parse_token


@given(st.integers(min_value=0, max_value=2**53))
def test_a_token_comes_back_as_its_position(position: int) -> None:
    assert parse_token(format_token(position)) == position


@pytest.mark.parametrize(
    "text", ["", "s", "5", "t5", "s-1", "s+1", "s 1", "s1_2", "s1.0", "s٣", "s²", "s" + "9" * 19]
)
def test_other_text_is_no_token(text: str) -> None:
    with pytest.raises(InvalidParam):
        parse_token(text)
