import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.search_text import fold, name_text, words


@pytest.mark.parametrize(
    ("one", "other"),
    [("É", "e"), ("Straße", "STRASSE"), ("Ｆｕｌｌ", "full"), ("i̇", "İ"), ("a\u200db", "AB")],
)
def test_case_accents_and_width_make_no_difference(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_folding_is_done_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(), st.text())
def test_no_name_can_break_out_of_its_line(localpart: str, name: str) -> None:
    text = name_text("x", name)
    assert text.count("\n") == 2
    assert "\0" not in name_text(localpart, name)


@given(st.text(min_size=1))
def test_a_person_is_found_by_each_word_of_their_name(name: str) -> None:
    assert all(word in name_text("x", name) for word in words(name))


def test_a_search_has_a_few_words() -> None:
    assert words(" Bob  MÜLLER ") == ["bob", "muller"]
    assert len(words("a " * 100)) == 5
    assert words(" \0 ") == []
