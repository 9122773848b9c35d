import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.protocol.globs import compile_glob, compile_stars, compile_word_glob, contains_words

letters = st.text("ab_ -.", max_size=12)
patterns = st.text("ab_ -*?", max_size=7)


def _naive(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)


@given(patterns, letters)
def test_whole_text(pattern: str, text: str) -> None:
    expected = re.fullmatch(_naive(pattern), text, re.DOTALL) is not None
    assert compile_glob(pattern).matches(text) == expected


@given(st.text("ab.?*", max_size=7), st.text("ab.?", max_size=10))
def test_stars_only(pattern: str, text: str) -> None:
    naive = ".*".join(map(re.escape, pattern.split("*")))
    assert compile_stars(pattern).matches(text) == (re.fullmatch(naive, text) is not None)


@given(patterns, letters)
def test_between_word_boundaries(pattern: str, text: str) -> None:
    inside = set(string.ascii_letters + string.digits + "_")

    def is_boundary(at: int) -> bool:
        return at in (0, len(text)) or not {text[at - 1], text[at]} <= inside

    bounds = [at for at in range(len(text) + 1) if is_boundary(at)]
    expected = any(
        re.fullmatch(_naive(pattern), text[start:end], re.DOTALL)
        for start in bounds
        for end in bounds
        if start <= end
    )
    assert compile_word_glob(pattern).matches(text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("ex*ple", "An example event.", True),
        ("ex*ple", "exple", True),
        ("ex*ple", "An exciting triple-whammy", True),
        ("ex*ple", "examples", False),
        ("CAKE", "a piece of cake!", True),
        ("cake", "cakes", False),
        ("ca?e", "line one\ncafe", True),
        ("été", "l'été.", True),
    ],
)
def test_words_as_people_write_them(pattern: str, text: str, matches: bool) -> None:
    assert compile_word_glob(pattern).matches(text) is matches


@given(st.text("aB é.", min_size=1, max_size=4), st.text("aBé .", max_size=12))
def test_words_are_found_as_by_a_glob(words: str, text: str) -> None:
    assert contains_words(text, words) == compile_word_glob(words).matches(text)


def test_no_pattern_backtracks() -> None:
    assert not compile_word_glob("a*" * 100 + "b").matches("a" * 60_000)
