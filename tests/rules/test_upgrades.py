from tests.rules.fakes import ALICE, BOB, CAROL, V11, V12, FakeRoom, event
from tidings.protocol.ids import EventId, RoomId
from tidings.rules import upgrades

LAST = EventId("$last")


def test_the_new_room_names_the_old_one_and_keeps_its_type() -> None:
    old = FakeRoom(V11).put("m.room.create", {"type": "m.space", "m.federate": False, "x": 1})
    assert upgrades.creation_content(old, LAST, V11, [BOB]) == {
        "type": "m.space",
        "m.federate": False,
        "predecessor": {"room_id": old.room_id, "event_id": LAST},
    }
    assert upgrades.creation_content(old, LAST, V12, [BOB])["additional_creators"] == [BOB]


def test_state_that_says_the_same_in_the_new_room_is_handed_on() -> None:
    old = FakeRoom(V11).join_rule("public").put("m.room.topic", {"topic": "t"})
    old.put("org.example", {"a": 1})
    child = event("m.space.child", ALICE, {"via": ["here"]}, "!child:here")
    state = upgrades.transferred_state(old, [child])
    assert {(each.type, each.state_key) for each in state} == {
        ("m.room.join_rules", ""), ("m.room.topic", ""), ("m.room.guest_access", ""),
        ("m.space.child", "!child:here"),
    }  # fmt: skip
    assert {"guest_access": "forbidden"} in [each.content for each in state]


def test_the_upgrader_may_set_up_everything_at_first() -> None:
    old = FakeRoom(V11).levels(users={BOB: 50}, events={"m.room.name": 120}, ban=70)
    assert upgrades.first_levels(old, V11, BOB) == {"users": {BOB: 120}}
    assert upgrades.first_levels(FakeRoom(V11), V11, BOB) == {"users": {BOB: 100}}
    assert upgrades.first_levels(old, V12, BOB) == {}


def test_levels_between_versions() -> None:
    assert upgrades.final_levels(FakeRoom(V11), V11, [ALICE]) is None
    old = FakeRoom(V11).levels(users={ALICE: 100, BOB: 50}, invite=7)
    assert upgrades.final_levels(old, V11, [ALICE]) == {
        "users": {ALICE: 100, BOB: 50},
        "invite": 7,
    }
    assert upgrades.final_levels(old, V12, [ALICE]) == {"users": {BOB: 50}, "invite": 7}
    newer = FakeRoom(V12).levels(users={BOB: 50})
    assert upgrades.final_levels(newer, V11, [ALICE]) == {"users": {ALICE: 100, BOB: 50}}


def test_the_old_room_is_closed() -> None:
    assert upgrades.tombstone(RoomId("!new:here"))["replacement_room"] == "!new:here"
    old = FakeRoom(V11).levels(users={CAROL: 100}, invite=70, events_default=10)
    assert upgrades.closing_levels(old) == {
        "users": {CAROL: 100},
        "invite": 70,
        "events_default": 50,
    }
    assert upgrades.closing_levels(FakeRoom(V11).levels(users_default=60))["invite"] == 61
