from tests.rules.fakes import ALICE, ROOM, V11, FakeRoom, event
from tidings.protocol.events import Event
from tidings.rules.spaces import child_of, children_in_order, is_space


def child(room_id: str, position: int = 1, **content: object) -> Event:
    given = {"via": ["here"], **content}
    return event("m.space.child", ALICE, given, room_id, position=position)


def order_of(*children: Event) -> list[str]:
    return [child_of(each) for each in children_in_order(children)]


def test_a_room_is_a_space_by_its_type() -> None:
    assert not is_space(FakeRoom(V11))
    assert is_space(FakeRoom(V11).put("m.room.create", {"type": "m.space"}))


def test_children_are_ordered_by_order_then_time_then_id() -> None:
    children = [
        child("!d:x", 4), child("!c:x", 3), child("!b:x", 3), child("!late:x", 9, order="aaaa"),
        child("!first:x", 8, order=" "), child("!same:x", 7, order="aaaa"),
    ]  # fmt: skip
    assert order_of(*children) == ["!first:x", "!same:x", "!late:x", "!b:x", "!c:x", "!d:x"]


def test_an_order_that_is_none_counts_for_nothing() -> None:
    bad = [child(f"!{n}:x", n, order=order) for n, order in enumerate(["", "x" * 51, "ü", 5, None])]
    assert order_of(*reversed(bad)) == [f"!{n}:x" for n in range(5)]
    assert order_of(*bad, child("!ok:x", 9, order="~"))[0] == "!ok:x"


def test_what_names_no_child() -> None:
    for via in (None, [], "here", [5]):
        assert order_of(child("!a:x", via=via)) == []
    assert order_of(child("a:x"), child("")) == []
    assert children_in_order([event("m.room.topic", ALICE, {"via": ["x"]}, ROOM)]) == []


def test_only_suggested_children() -> None:
    children = [child("!a:x", suggested=True), child("!b:x"), child("!c:x", suggested="yes")]
    assert [child_of(c) for c in children_in_order(children, suggested_only=True)] == ["!a:x"]
