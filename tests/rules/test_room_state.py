import pytest

from tests.rules.fakes import ALICE, BOB, FakeRoom
from tidings.rules.room_state import join_rule_of, membership_of


@pytest.mark.parametrize("membership", ["join", "invite", "knock", "leave", "ban"])
def test_membership_is_what_the_member_event_says(membership: str) -> None:
    assert membership_of(FakeRoom().member(BOB, membership), BOB) == membership


def test_who_was_never_there_has_left() -> None:
    assert membership_of(FakeRoom(), BOB) == "leave"


@pytest.mark.parametrize("malformed", [None, 1, ["join"], {"join": True}])
def test_a_membership_that_is_no_text_counts_as_left(malformed: object) -> None:
    room = FakeRoom().put("m.room.member", {"membership": malformed}, ALICE)
    assert membership_of(room, ALICE) == "leave"


def test_a_member_event_without_a_membership_counts_as_left() -> None:
    assert membership_of(FakeRoom().put("m.room.member", {}, ALICE), ALICE) == "leave"


def test_the_join_rule_is_what_the_room_says() -> None:
    assert join_rule_of(FakeRoom().join_rule("public")) == "public"


@pytest.mark.parametrize("content", [{}, {"join_rule": None}, {"join_rule": 7}])
def test_a_room_without_a_readable_join_rule_is_for_the_invited(content: dict[str, object]) -> None:
    assert join_rule_of(FakeRoom()) == "invite"
    assert join_rule_of(FakeRoom().put("m.room.join_rules", content)) == "invite"
