import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.search_tokens import TOKEN_LENGTH_MAX, fold, stem, tokens, tokens_of, units


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("CAFÉ", "cafe"), ("cafe\u0301", "cafe"), ("Straße", "strasse"), ("ＡＢＣ", "abc"),
        ("İstanbul", "istanbul"), ("Ёлка", "елка"), ("ﾃﾞｰﾀ", "データ"), ("が", "が"), ("ﬁn", "fin"),
        ("don't", "dont"), ("서울", "서울"), ("हिन्दी", "हिन्दी"),
    ],
)  # fmt: skip
def test_case_accents_and_widths_are_folded_and_what_makes_another_letter_is_not(
    text: str, folded: str
) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo_bar-12", {"foo", "bar", "12", "foobar", "bar12"}),
        ("fooBarBaz", {"foo", "bar", "baz", "foobar", "barbaz", "foobarbaz"}),
        ("HTTPServer", {"http", "server", "httpserver"}),
        ("src/app.py", {"src", "app", "py", "srcapp", "apppy"}),
        ("10.0.0.12", {"10", "0", "12", "10·0", "0·0", "0·12"}),
        ("我在北京", {"我在", "在北", "北京", "京"}),
        ("用K8s吗", {"用", "k8s", "吗"}),
        ("hello, world", {"hello", "world"}),
        ("", set()),
        ("--- ...", set()),
    ],
)
def test_words_parts_and_pairs_are_what_a_text_is_found_by(text: str, expected: set[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "deploys", "deployed", "deploying"),
        ("merge", "merges", "merged", "merging"),
        ("box", "boxes"),
        ("query", "queries"),
        ("stop", "stopped", "stopping"),
        ("fail", "failed", "fails", "failing"),
    ],
)
def test_number_and_tense_do_not_matter(words: tuple[str, ...]) -> None:
    assert len({stem(word) for word in words}) == 1


@pytest.mark.parametrize("word", ["class", "status", "this", "string", "bed", "ça", "x86", "is"])
def test_words_that_only_look_inflected_stay(word: str) -> None:
    assert stem(word) == word


@given(st.text())
def test_no_token_holds_what_an_index_would_take_for_its_own(text: str) -> None:
    for token in tokens(text):
        assert 0 < len(token) <= TOKEN_LENGTH_MAX
        assert not set(" \0\"'\\*:&|!()<>\n\t") & set(token)
        assert not token.startswith("·")


@given(st.text())
def test_units_stand_where_they_say_in_order(text: str) -> None:
    last = 0
    for unit in units(text):
        assert 0 <= unit.start < unit.end <= len(text)
        assert unit.start >= last or unit.unspaced
        last = unit.start


@given(st.text(st.sampled_from("aB1_-./ ,'京がㅏé\u0301") | st.characters()))
def test_the_tokens_of_a_text_are_those_of_its_units(text: str) -> None:
    assert tokens(text) == tokens_of(units(text))
