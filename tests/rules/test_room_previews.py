import pytest

from tests.rules.fakes import V11, V12, FakeRoom
from tidings.rules.room_previews import describe_room, may_preview


@pytest.mark.parametrize(
    ("membership", "join_rule", "visibility", "may"),
    [
        ("leave", "public", "shared", True),
        ("leave", "knock", "shared", True),
        ("leave", "knock_restricted", "shared", True),
        ("leave", "restricted", "shared", False),
        ("leave", "invite", "shared", False),
        ("leave", "invite", "world_readable", True),
        ("knock", "invite", "shared", False),
        ("invite", "invite", "shared", True),
        ("join", "invite", "joined", True),
        ("ban", "public", "world_readable", False),
    ],
)
def test_who_may_be_shown_a_room(
    membership: str, join_rule: str, visibility: str, may: bool
) -> None:
    room = FakeRoom(V11).join_rule(join_rule)
    room.put("m.room.history_visibility", {"history_visibility": visibility})
    assert may_preview(room, membership) is may


def test_a_bare_room_has_little_to_tell() -> None:
    assert describe_room(FakeRoom(V12), 1) == {
        "room_id": "!room:here",
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "invite",
        "room_version": "12",
    }


def test_what_is_told_of_a_room() -> None:
    room = FakeRoom(V11).put("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    room.put("m.room.name", {"name": "Cheese"})
    allow = [{"type": "m.room_membership", "room_id": "!other:here"}]
    room.put("m.room.join_rules", {"join_rule": "restricted", "allow": allow})
    told = describe_room(room, 3)
    assert (told["name"], told["encryption"]) == ("Cheese", "m.megolm.v1.aes-sha2")
    assert (told["join_rule"], told["allowed_room_ids"]) == ("restricted", ["!other:here"])
    other = describe_room(FakeRoom(V11).put("m.room.encryption", {"algorithm": "rot13"}), 1)
    assert "encryption" not in other
