import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.open_graph import Page, parse_page

HTML = "text/html"


def page(text: str, content_type: str = HTML) -> Page:
    return parse_page(text.encode(), content_type)


def test_what_the_page_says() -> None:
    text = """<!doctype html><html><head><title>Other</title>
        <meta property="og:title" content="A &amp; B">
        <meta content="Described" property="og:description" />
        <meta property="OG:Site_Name" content="Site"><meta property="og:image" content="/a.png">
        <meta property="og:secret" content="no">"""
    assert page(text) == Page(
        {"og:title": "A & B", "og:description": "Described", "og:site_name": "Site"}, "/a.png"
    )


def test_title_and_description_stand_in() -> None:
    text = "<title> A\n  title </title><meta name=description content='Short'><title>No</title>"
    assert page(text) == Page({"og:title": "A title", "og:description": "Short"})


def test_the_first_says_it() -> None:
    text = "<meta property='og:title' content='1'><meta property='og:title' content='2'>"
    assert page(text).properties == {"og:title": "1"}


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("<title>日本</title>".encode("shift_jis"), "text/html; charset=Shift_JIS"),
        ("<meta charset='euc-jp'><title>日本</title>".encode("euc-jp"), HTML),
        ("<title>日本</title>".encode(), "text/html; charset=nonsense"),
        ("<title>日本</title>".encode(), "text/html; charset=zlib"),
    ],
)
def test_charsets(data: bytes, content_type: str) -> None:
    assert parse_page(data, content_type).properties == {"og:title": "日本"}


def test_endless_texts_are_cut() -> None:
    found = page(f"<title>{'x' * 9999}</title><meta name=description content='{'y' * 9999}'>")
    assert {name: len(text) for name, text in found.properties.items()} == {
        "og:title": 1000, "og:description": 1000,
    }  # fmt: skip


@given(st.binary(max_size=200), st.text(max_size=30))
def test_anything_is_a_page(data: bytes, content_type: str) -> None:
    parse_page(b"<title>" + data + b"<meta name=" + data, content_type)
