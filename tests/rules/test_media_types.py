import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.media_types import (
    UNKNOWN,
    content_disposition,
    essence_of,
    parse_content_type,
    parse_file_name,
)

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("claimed", "beginning", "served"),
    [
        ("image/png", PNG, "image/png"),
        ("image/png", b"<html>", UNKNOWN),
        ("image/png", b"", "image/png"),
        (" text/plain;charset=utf-8 ", b"x", "text/plain;charset=utf-8"),
        ('text/plain; charset="utf-8"', b"x", 'text/plain; charset="utf-8"'),
        ("text/html", b"x", "text/html"),
        ("text/plain\r\nx: y", b"x", UNKNOWN),
        ("text", b"x", UNKNOWN),
        ("", b"x", UNKNOWN),
        ("text/plain; x=é", b"x", UNKNOWN),
        (None, PNG, UNKNOWN),
    ],
)
def test_the_type_something_is_served_as(
    claimed: str | None, beginning: bytes, served: str
) -> None:
    assert parse_content_type(claimed, beginning) == served


def test_parameters_do_not_count() -> None:
    assert essence_of("Text/HTML; charset=x") == "text/html"
    assert content_disposition("text/html; x=image/png", "") == b"attachment"
    assert content_disposition("TEXT/PLAIN;charset=utf-8", "") == b"inline"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Temp\\a.txt", "a.txt"),
        ("..", ""),
        ("a\r\nb\0.txt", "ab.txt"),
        ("gpj\u202e.exe", "gpj.exe"),
        ("日報.pdf", "日報.pdf"),
        ("x" * 300, "x" * 255),
    ],
)
def test_names_are_made_harmless(text: str, name: str) -> None:
    assert parse_file_name(text) == name


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b;c.txt", b'attachment; filename="a b;c.txt"'),
        ('say "hi".zip', b'attachment; filename="say \\"hi\\".zip"'),
        ("日.pdf", b"attachment; filename*=utf-8''%E6%97%A5.pdf"),
    ],
)
def test_the_name_in_a_header(name: str, header: bytes) -> None:
    assert content_disposition("application/zip", name) == header


@given(st.text(), st.text())
def test_nothing_breaks_out_of_a_header(kind: str, name: str) -> None:
    header = content_disposition(parse_content_type(kind, b""), parse_file_name(name))
    assert all(0x20 <= byte < 0x7F for byte in header)
    assert header.split(b";")[0] in (b"inline", b"attachment")
