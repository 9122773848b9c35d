import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tidings.cli.safe_text import safe_json, safe_line, safe_lines

TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def is_dangerous(character: str) -> bool:
    category = unicodedata.category(character)
    return (category in {"Cc", "Zl", "Zp", "Cs"} and character != "\t") or character in BIDI


@given(TEXT)
def test_no_text_can_command_the_terminal(text: str) -> None:
    assert not any(map(is_dangerous, safe_line(text)))
    for line in safe_lines(text):
        assert not any(map(is_dangerous, line))


@given(st.dictionaries(TEXT.filter(lambda text: text.isprintable()), TEXT))
def test_safe_json_means_the_same(value: dict[str, str]) -> None:
    safe = safe_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(safe) == value
    assert not any(map(is_dangerous, safe))


def test_ordinary_text_of_any_language_stays() -> None:
    for text in ("naïve café", "日本語", "שלום", "👩‍💻 🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a\tb", "नमस्ते"):
        assert safe_line(text) == text


def test_lines_are_split_where_a_terminal_would() -> None:
    assert safe_lines("a\r\nb\nc\u2028d\x85e") == ["a", "b", "c", "d", "e"]
    assert safe_line("a\nb") == "a b"
    assert safe_line("\x1b[31mred\x9b31m") == "\ufffd[31mred\ufffd31m"
