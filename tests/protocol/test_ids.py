import pytest

from tidings.protocol.errors import InvalidParam, InvalidUsername
from tidings.protocol.ids import (
    check_new_localpart,
    is_opaque_id,
    is_server_name,
    is_user_id,
    localpart_of,
    parse_event_id,
    parse_room_alias,
    parse_room_id,
    parse_user_id,
    server_name_of,
)


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("matrix.org", True),
        ("matrix.org:8888", True),
        ("1.2.3.4", True),
        ("1.2.3.4:1234", True),
        ("[1234:5678::abcd]:5678", True),
        ("localhost", True),
        ("", False),
        ("a b", False),
        ("host:", False),
        ("host:port", False),
        ("host:123456", False),
        ("[::1", False),
        ("host\n", False),
    ],
)
def test_server_names(text: str, is_name: bool) -> None:
    assert is_server_name(text) is is_name


@pytest.mark.parametrize("text", ["@alice:here", "@Old!Name:here:8448", "@a=b/c+d-e.f_:[::1]"])
def test_user_ids(text: str) -> None:
    assert parse_user_id(text) == text
    assert is_user_id(text)


@pytest.mark.parametrize(
    "text",
    [
        *["", "@", "@alice", "@:here", "alice:here", "@a b:here", "@a:", "@a:here\n"],
        *["@" + "a" * 255 + ":here", None, 5, ["@a:b"]],
    ],
)
def test_what_is_no_user_id(text: object) -> None:
    assert not is_user_id(text)
    with pytest.raises(InvalidParam):
        parse_user_id(text)


def test_new_localparts() -> None:
    assert check_new_localpart("a.b_c=d-e/f+0", "here") == "@a.b_c=d-e/f+0:here"
    for name in ("", "Alice", "a b", "a:b", "ä", "a" * 250):
        with pytest.raises(InvalidUsername):
            check_new_localpart(name, "here")


def test_room_aliases() -> None:
    assert parse_room_alias("#tea & cake:here") == "#tea & cake:here"
    for text in ("", "#", "#a", "#:here", "a:here", "#a\0:here", "#a:", None, 5, "#" + "é" * 130):
        with pytest.raises(InvalidParam):
            parse_room_alias(text)


def test_parts() -> None:
    assert localpart_of("@alice:here:8448") == "alice"
    assert server_name_of("@alice:here:8448") == "here:8448"
    assert server_name_of("!hash") == ""


@pytest.mark.parametrize(
    ("text", "is_opaque"),
    [
        ("aZ09._~=-", True),
        ("", False),
        ("a b", False),
        ("é", False),
        ("a\n", False),
        ("a\0", False),
    ],
)
def test_opaque_ids(text: str, is_opaque: bool) -> None:
    assert is_opaque_id(text) == is_opaque
    assert not is_opaque_id("x" * 65, 64)


@pytest.mark.parametrize("sigil", ["!", "$"])
def test_room_and_event_ids_are_opaque(sigil: str) -> None:
    parse = parse_room_id if sigil == "!" else parse_event_id
    assert parse(f"{sigil}abc") == f"{sigil}abc"
    assert parse(f"{sigil}abc:here") == f"{sigil}abc:here"
    for wrong in (None, 5, "", "abc", f"x{sigil}", f"{sigil}a\0", sigil + "x" * 255):
        with pytest.raises(InvalidParam):
            parse(wrong)
