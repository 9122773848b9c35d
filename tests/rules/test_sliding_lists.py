import pytest
from msgspec import structs

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.required_state import Wanted
from tidings.rules.sliding_lists import Entry, RoomConfig, RoomFilter, in_ranges, matches


def entry(name: str = "!a", membership: str = "join", **more: object) -> Entry:
    room_id, sender = RoomId(name), UserId("@a:localhost")
    plain = Entry(room_id, membership, 1, sender, was_joined=True, position=1)
    return structs.replace(plain, **more)


@pytest.mark.parametrize(
    ("ranges", "names"),
    [
        (None, "abcde"),
        ((), ""),
        (((0, 0),), "a"),
        (((1, 2),), "bc"),
        (((0, 1), (4, 9)), "abe"),
        (((7, 9),), ""),
    ],
)
def test_ranges_are_inclusive(ranges: tuple[tuple[int, int], ...] | None, names: str) -> None:
    entries = [entry(name) for name in "abcde"]
    assert "".join(each.room_id for each in in_ranges(entries, ranges)) == names


@pytest.mark.parametrize(
    ("wanted", "room", "is_in"),
    [
        (RoomFilter(), entry(), True),
        (RoomFilter(is_dm=True), entry(), False),
        (RoomFilter(is_dm=True), entry(is_dm=True), True),
        (RoomFilter(is_encrypted=False), entry(is_encrypted=True), False),
        (RoomFilter(is_invite=True), entry(membership="invite"), True),
        (RoomFilter(is_invited=False), entry(membership="invite"), False),
        (RoomFilter(room_types=(None,)), entry(), True),
        (RoomFilter(room_types=("m.space",)), entry(), False),
        (RoomFilter(room_types=("t",), not_room_types=("t",)), entry(room_type="t"), False),
        (RoomFilter(tags=("a", "b")), entry(tags=frozenset("b")), True),
        (RoomFilter(tags=("a",), not_tags=("b",)), entry(tags=frozenset("ab")), False),
        (RoomFilter(spaces=("!s", "!t")), entry(), True),
        (RoomFilter(spaces=("!s",)), entry("!b"), False),
    ],
)
def test_filters(wanted: RoomFilter, room: Entry, *, is_in: bool) -> None:
    assert matches(room, wanted, {"!t": frozenset({"!a"})}) is is_in


def test_rules_that_match_the_same_room_add_up() -> None:
    name = Wanted(frozenset({("m.room.name", "")}))
    one, other = RoomConfig(1, frozenset({name})), RoomConfig(20, frozenset({Wanted()}))
    assert one.joined_with(other) == RoomConfig(20, frozenset({name, Wanted()}))
