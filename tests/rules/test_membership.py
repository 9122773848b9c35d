"""Every row of the membership rules: who, of what membership, does what to whom."""

import pytest

from tests.rules.fakes import ALICE, BOB, CAROL, V10, V11, V12, FakeRoom
from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import UserId
from tidings.protocol.room_versions import RoomVersion
from tidings.rules import authorise

MEMBERSHIPS = ("none", "invite", "join", "leave", "ban", "knock")


def allows(room: FakeRoom, sender: str, content: JsonObject, target: str | None) -> bool:
    draft = Draft(room.room_id, "m.room.member", UserId(sender), content, target)
    try:
        authorise.check(draft, room)
    except Forbidden:
        return False
    return True


def room_with(membership: str, user_id: str = BOB, version: RoomVersion = V12) -> FakeRoom:
    room = FakeRoom(version).levels(users={} if version is V12 else {ALICE: 100})
    return room if membership == "none" else room.member(user_id, membership)


@pytest.mark.parametrize(
    ("rule", "may_join"),
    [
        ("public", {"none", "invite", "join", "leave", "knock"}),
        ("invite", {"invite", "join"}),
        ("knock", {"invite", "join"}),
        ("restricted", {"invite", "join"}),
        ("knock_restricted", {"invite", "join"}),
        ("private", set()),
        ("nonsense", set()),
    ],
)
@pytest.mark.parametrize("version", [V10, V11, V12])
def test_join(rule: str, may_join: set[str], version: RoomVersion) -> None:
    for membership in MEMBERSHIPS:
        room = room_with(membership, version=version).join_rule(rule)
        allowed = allows(room, BOB, {"membership": "join"}, BOB)
        assert allowed is (membership in may_join), membership


def test_nobody_joins_for_another() -> None:
    room = room_with("invite").join_rule("public")
    assert not allows(room, ALICE, {"membership": "join"}, BOB)


def test_a_room_without_join_rules_is_for_the_invited() -> None:
    assert not allows(room_with("none"), BOB, {"membership": "join"}, BOB)
    assert allows(room_with("invite"), BOB, {"membership": "join"}, BOB)


@pytest.mark.parametrize("version", [V10, V11, V12])
def test_the_creator_enters_the_empty_room(version: RoomVersion) -> None:
    room = FakeRoom(version)
    del room.state["m.room.member", ALICE]
    assert allows(room, ALICE, {"membership": "join"}, ALICE)
    assert not allows(room, BOB, {"membership": "join"}, BOB)
    assert not allows(room, BOB, {"membership": "join"}, ALICE)


def test_additional_creators_must_be_invited_like_others() -> None:
    room = FakeRoom().put("m.room.create", {"room_version": "12", "additional_creators": [BOB]})
    assert not allows(room, BOB, {"membership": "join"}, BOB)


@pytest.mark.parametrize(
    ("authoriser", "allowed"),
    [
        (ALICE, True),
        (CAROL, False),  # not in the room
        ("@alice:elsewhere", False),
        ("nonsense", False),
        (5, False),
        (None, False),
        ([ALICE], False),
    ],
)
def test_restricted_join_needs_a_member_who_may_invite(authoriser: object, allowed: bool) -> None:
    content: JsonObject = {"membership": "join", "join_authorised_via_users_server": authoriser}
    room = room_with("none").join_rule("restricted")
    assert allows(room, BOB, content, BOB) is allowed


def test_restricted_join_by_a_member_who_may_not_invite() -> None:
    content: JsonObject = {"membership": "join", "join_authorised_via_users_server": CAROL}
    room = room_with("join", CAROL).join_rule("knock_restricted")
    assert allows(room, BOB, content, BOB)
    assert not allows(room.levels(invite=1), BOB, content, BOB)


def test_invite() -> None:
    for membership in MEMBERSHIPS:
        room = room_with(membership, CAROL).member(BOB, "join")
        expected = membership not in ("join", "ban")
        assert allows(room, BOB, {"membership": "invite"}, CAROL) is expected, membership


def test_only_members_with_the_level_invite() -> None:
    for membership in MEMBERSHIPS:
        room = room_with(membership)
        expected = membership == "join"
        assert allows(room, BOB, {"membership": "invite"}, CAROL) is expected, membership
    room = room_with("join").levels(invite=10)
    assert not allows(room, BOB, {"membership": "invite"}, CAROL)
    assert allows(room, ALICE, {"membership": "invite"}, CAROL)


def test_third_party_invites_are_refused() -> None:
    content: JsonObject = {"membership": "invite", "third_party_invite": {"signed": {}}}
    assert not allows(room_with("none"), ALICE, content, BOB)


def test_leave() -> None:
    for membership in MEMBERSHIPS:
        expected = membership in ("invite", "join", "knock")
        assert allows(room_with(membership), BOB, {"membership": "leave"}, BOB) is expected


@pytest.mark.parametrize("membership", ["invite", "join", "leave", "ban", "knock"])
def test_kick_and_unban(membership: str) -> None:
    def kick(level: int, target_level: int, **levels: int) -> bool:
        room = FakeRoom().member(BOB, "join").member(CAROL, membership)
        room.levels(users={BOB: level, CAROL: target_level}, **levels)
        return allows(room, BOB, {"membership": "leave"}, CAROL)

    assert kick(50, 49)
    assert not kick(50, 50)
    assert not kick(49, 0)
    assert kick(10, 0, kick=10, ban=10)
    assert kick(10, 0, kick=10, ban=11) is (membership != "ban")


def test_ban() -> None:
    for membership in ("invite", "join", "leave", "ban", "knock"):
        room = FakeRoom().member(BOB, "join").member(CAROL, membership)
        assert allows(room.levels(users={BOB: 50}), BOB, {"membership": "ban"}, CAROL)
        assert not allows(room.levels(users={BOB: 49}), BOB, {"membership": "ban"}, CAROL)
        assert not allows(
            room.levels(users={BOB: 50, CAROL: 50}), BOB, {"membership": "ban"}, CAROL
        )
        assert not allows(
            room.member(BOB, "leave").levels(users={BOB: 50}), BOB, {"membership": "ban"}, CAROL
        )


def test_nobody_outranks_a_creator() -> None:
    room = FakeRoom().member(BOB, "join").levels(users={BOB: 2**53 - 1})
    assert not allows(room, BOB, {"membership": "ban"}, ALICE)
    assert allows(room, ALICE, {"membership": "ban"}, BOB)


@pytest.mark.parametrize("rule", ["knock", "knock_restricted", "invite", "public", "restricted"])
def test_knock(rule: str) -> None:
    for membership in MEMBERSHIPS:
        room = room_with(membership).join_rule(rule)
        expected = rule.startswith("knock") and membership in ("none", "leave", "knock")
        assert allows(room, BOB, {"membership": "knock"}, BOB) is expected, membership
    assert not allows(room_with("none").join_rule(rule), ALICE, {"membership": "knock"}, BOB)


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ({"membership": "join"}, None),
        ({"membership": "join"}, ""),
        ({"membership": "join"}, "bob"),
        ({}, BOB),
        ({"membership": None}, BOB),
        ({"membership": ["join"]}, BOB),
        ({"membership": "dance"}, BOB),
    ],
)
def test_malformed(content: JsonObject, target: str | None) -> None:
    assert not allows(FakeRoom().join_rule("public"), BOB, content, target)
