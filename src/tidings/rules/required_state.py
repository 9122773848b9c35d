"""Which state of a room a client of sliding sync wants.

Both ways to say it are understood: the pairs of the unstable endpoint with
their `*`, `$ME` and `$LAZY`, and the object with `include`, `exclude` and
`lazy_members`. Source: MSC4186, `RequiredStateRequest`.
"""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from tidings.protocol.ids import UserId

MEMBER = "m.room.member"
ANY = "*"
ME = "$ME"
LAZY = "$LAZY"
Key: TypeAlias = tuple[str | None, str | None]
"""A type and a state key; None stands for any."""


class Element(msgspec.Struct, frozen=True):
    """State as the newer form names it."""

    type: str | None = None
    state_key: str | None = None


class RequiredState(msgspec.Struct, frozen=True):
    """The newer form."""

    include: tuple[Element, ...] = ()
    exclude: tuple[Element, ...] = ()
    lazy_members: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """One rule's wishes. They are never merged, as what one leaves out another may want."""

    include: frozenset[Key] = frozenset()
    exclude: frozenset[Key] = frozenset()
    lazy: bool = False
    """Whether members come as they are seen to act; then only who is named comes otherwise."""

    def wants(self, type_: str, state_key: str) -> bool:
        """Whether state of a key is to be sent whenever it changes."""
        if self.lazy and type_ == MEMBER:
            included = not self.include.isdisjoint({(MEMBER, state_key), (MEMBER, None)})
        else:
            included = _matches(self.include, type_, state_key)
        return included and not _matches(self.exclude, type_, state_key)


class Selection(msgspec.Struct, frozen=True):
    """What to read so that nothing wanted is missing."""

    types: frozenset[str] | None
    """Types other than members; None for all."""
    members: frozenset[str] | None
    """Whose member events; None for everybody's."""


def parse(asked: RequiredState | tuple[tuple[str, str], ...], user_id: UserId) -> Wanted:
    """The wishes of a user."""
    if isinstance(asked, RequiredState):
        return Wanted(
            frozenset(_key(each.type, each.state_key, user_id) for each in asked.include),
            frozenset(_key(each.type, each.state_key, user_id) for each in asked.exclude),
            asked.lazy_members,
        )
    lazy = (MEMBER, LAZY)
    pairs = [(type_, key) for type_, key in asked if key != LAZY]
    include = frozenset(_key(_or_any(t), _or_any(key), user_id) for t, key in pairs)
    return Wanted(include, lazy=lazy in asked)


def select(wishes: Iterable[Wanted]) -> Selection:
    """What to read for several rules."""
    types: set[str] | None = set()
    members: set[str] | None = set()
    for wanted in wishes:
        for type_, state_key in wanted.include:
            if type_ is None:
                types = None
            elif type_ != MEMBER and types is not None:
                types.add(type_)
            if type_ == MEMBER or (type_ is None and not wanted.lazy):
                members = _with(members, state_key)
    return Selection(
        None if types is None else frozenset(types),
        None if members is None else frozenset(members),
    )


def _with(members: set[str] | None, state_key: str | None) -> set[str] | None:
    return None if members is None or state_key is None else {*members, state_key}


def _matches(keys: frozenset[Key], type_: str, state_key: str) -> bool:
    return not keys.isdisjoint({(type_, state_key), (type_, None), (None, state_key), (None, None)})


def _or_any(text: str) -> str | None:
    return None if text == ANY else text


def _key(type_: str | None, state_key: str | None, user_id: UserId) -> Key:
    return type_, user_id if state_key == ME else state_key
