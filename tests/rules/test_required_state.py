import pytest

from tidings.protocol.ids import UserId
from tidings.rules.required_state import (
    MEMBER,
    Element,
    RequiredState,
    Selection,
    Wanted,
    parse,
    select,
)

ME = UserId("@me:localhost")
OTHER = "@other:localhost"
LAZY = (MEMBER, "$LAZY")
Pairs = tuple[tuple[str, str], ...]


@pytest.mark.parametrize(
    ("asked", "key", "wants"),
    [
        ((), ("m.room.name", ""), False),
        ((("m.room.name", ""),), ("m.room.name", ""), True),
        ((("m.room.name", ""),), ("m.room.name", "x"), False),
        ((("m.room.name", "*"),), ("m.room.name", "x"), True),
        ((("*", ""),), ("m.room.topic", ""), True),
        ((("*", "*"),), (MEMBER, OTHER), True),
        ((("*", "*"), LAZY), (MEMBER, OTHER), False),
        ((("*", "*"), LAZY), ("m.room.topic", ""), True),
        (((MEMBER, "$ME"),), (MEMBER, ME), True),
        (((MEMBER, "$ME"), LAZY), (MEMBER, ME), True),
        (((MEMBER, "$ME"), LAZY), (MEMBER, OTHER), False),
        (((MEMBER, "*"), LAZY), (MEMBER, OTHER), True),
    ],
)
def test_pairs(asked: Pairs, key: tuple[str, str], *, wants: bool) -> None:
    assert parse(asked, ME).wants(*key) is wants


def test_what_is_excluded_is_not_wanted() -> None:
    wanted = parse(RequiredState((Element(),), (Element("m.room.create"),), lazy_members=True), ME)
    assert wanted.lazy
    assert wanted.wants("m.room.topic", "")
    assert not wanted.wants("m.room.create", "")
    assert not wanted.wants(MEMBER, OTHER)


@pytest.mark.parametrize(
    ("asked", "selection"),
    [
        ((), Selection(frozenset(), frozenset())),
        ((("a", "*"), ("b", "")), Selection(frozenset("ab"), frozenset())),
        (((MEMBER, "$ME"),), Selection(frozenset(), frozenset({ME}))),
        (((MEMBER, "*"),), Selection(frozenset(), None)),
        ((("*", "*"),), Selection(None, None)),
        ((("*", "*"), LAZY), Selection(None, frozenset())),
        ((("*", OTHER),), Selection(None, frozenset({OTHER}))),
    ],
)
def test_everything_wanted_is_read(asked: Pairs, selection: Selection) -> None:
    assert select([parse(asked, ME)]) == selection


def test_wishes_add_up() -> None:
    both = select([parse((("a", ""),), ME), parse(((MEMBER, "$ME"),), ME), Wanted()])
    assert both == Selection(frozenset("a"), frozenset({ME}))
