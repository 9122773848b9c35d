from tests.rules.fakes import ALICE, BOB, V11, FakeRoom
from tidings.protocol.ids import RoomId
from tidings.rules.restricted_joins import allowing_rooms, find_authoriser

OTHER = RoomId("!other:here")


def restricted(allow: object, join_rule: str = "restricted") -> FakeRoom:
    return FakeRoom(V11).put("m.room.join_rules", {"join_rule": join_rule, "allow": allow})


def test_members_of_the_named_rooms_are_allowed() -> None:
    allow = [{"type": "m.room_membership", "room_id": OTHER}]
    assert allowing_rooms(restricted(allow)) == [OTHER]
    assert allowing_rooms(restricted(allow, "knock_restricted")) == [OTHER]


def test_other_join_rules_name_no_rooms() -> None:
    allow = [{"type": "m.room_membership", "room_id": OTHER}]
    assert allowing_rooms(restricted(allow, "invite")) == []
    assert allowing_rooms(FakeRoom(V11)) == []


def test_malformed_conditions_allow_nobody() -> None:
    for allow in (None, "x", [1], [{"type": "m.room_membership"}], [{"room_id": OTHER}]):
        assert allowing_rooms(restricted(allow)) == []


def test_only_who_may_invite_can_authorise() -> None:
    room = FakeRoom(V11).member(BOB, "join").levels(users={ALICE: 100}, invite=50)
    assert find_authoriser(room, [BOB, ALICE]) == ALICE
    assert find_authoriser(room, [BOB]) is None
    assert find_authoriser(room.levels(invite=0), [BOB]) == BOB
