import msgspec
import pytest

from tests.rules.fakes import ALICE, BOB, CAROL, ROOM, V10, V11, V12, FakeRoom
from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import RoomAlias, UserId
from tidings.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tidings.rules import authorise
from tidings.rules.rooms import InitialState, NewRoom, initial_events

VERSIONS = list(ROOM_VERSIONS.values())
NEW = NewRoom(room_id=ROOM, version=V12, creator=ALICE)


def made(**fields: object) -> list[Draft]:
    return initial_events(msgspec.structs.replace(NEW, **fields))


def content(drafts: list[Draft], type: str, state_key: str = "") -> JsonObject:
    return next(
        draft.content for draft in drafts if (draft.type, draft.state_key) == (type, state_key)
    )


def test_events_come_in_the_order_of_the_spec() -> None:
    drafts = made(
        canonical_alias=RoomAlias("#x:here"),
        initial_state=(InitialState("org.example", {"x": 1}, "key"),),
        name="Kitchen",
        topic="Tea",
        invite=(BOB, CAROL, BOB),
    )
    assert [(draft.type, draft.state_key) for draft in drafts] == [
        ("m.room.create", ""),
        ("m.room.member", ALICE),
        ("m.room.power_levels", ""),
        ("m.room.canonical_alias", ""),
        ("m.room.join_rules", ""),
        ("m.room.history_visibility", ""),
        ("m.room.guest_access", ""),
        ("org.example", "key"),
        ("m.room.name", ""),
        ("m.room.topic", ""),
        ("m.room.member", BOB),
        ("m.room.member", CAROL),
    ]
    assert content(drafts, "m.room.canonical_alias") == {"alias": "#x:here"}
    assert content(drafts, "m.room.name") == {"name": "Kitchen"}
    assert content(drafts, "m.room.topic") == {
        "topic": "Tea",
        "m.topic": {"m.text": [{"mimetype": "text/plain", "body": "Tea"}]},
    }
    assert {(draft.room_id, draft.sender) for draft in drafts} == {(ROOM, ALICE)}


@pytest.mark.parametrize(
    ("fields", "join_rule", "guest_access"),
    [
        ({}, "invite", "can_join"),
        ({"visibility": "public"}, "public", "forbidden"),
        ({"visibility": "public", "preset": "private_chat"}, "invite", "can_join"),
        ({"preset": "trusted_private_chat"}, "invite", "can_join"),
        ({"preset": "public_chat"}, "public", "forbidden"),
    ],
)
def test_presets(fields: dict[str, object], join_rule: str, guest_access: str) -> None:
    drafts = made(**fields)
    assert content(drafts, "m.room.join_rules") == {"join_rule": join_rule}
    assert content(drafts, "m.room.guest_access") == {"guest_access": guest_access}
    assert content(drafts, "m.room.history_visibility") == {"history_visibility": "shared"}


def test_initial_state_goes_before_presets_and_after_name_and_topic() -> None:
    drafts = made(
        name="Kitchen",
        initial_state=(
            InitialState("m.room.join_rules", {"join_rule": "knock"}),
            InitialState("m.room.name", {"name": "Cellar"}),
            InitialState("m.room.topic", {"topic": "Wine"}),
        ),
    )
    keys = [(draft.type, draft.state_key) for draft in drafts]
    assert len(keys) == len(set(keys))
    assert content(drafts, "m.room.join_rules") == {"join_rule": "knock"}
    assert content(drafts, "m.room.name") == {"name": "Kitchen"}
    assert content(drafts, "m.room.topic") == {"topic": "Wine"}


def test_the_create_event() -> None:
    asked: JsonObject = {"m.federate": False, "creator": BOB, "room_version": "1"}
    for version, expected in (
        (V10, {"m.federate": False, "room_version": "10", "creator": ALICE}),
        (V11, {"m.federate": False, "room_version": "11"}),
        (V12, {"m.federate": False, "room_version": "12"}),
    ):
        drafts = made(version=version, creation_content=asked)
        assert content(drafts, "m.room.create") == expected


def test_trusted_invites_make_creators_or_equals() -> None:
    fields = {"preset": "trusted_private_chat", "invite": (BOB, CAROL)}
    asked: JsonObject = {"additional_creators": [CAROL, ALICE]}
    drafts = made(**fields, creation_content=asked)
    assert content(drafts, "m.room.create")["additional_creators"] == [CAROL, BOB]
    assert content(drafts, "m.room.power_levels")["users"] == {}
    drafts = made(**fields, version=V11)
    assert "additional_creators" not in content(drafts, "m.room.create")
    users = content(drafts, "m.room.power_levels")["users"]
    assert users == {ALICE: 100, BOB: 100, CAROL: 100}


@pytest.mark.parametrize("others", [None, "x", ["bob"], [5], {}])
def test_additional_creators_are_user_ids(others: object) -> None:
    with pytest.raises(InvalidParam):
        made(creation_content={"additional_creators": others})
    assert made(version=V11, creation_content={"additional_creators": others})


def test_power_levels_can_be_overridden() -> None:
    override: JsonObject = {"events_default": 7, "events": {"x": 1}}
    levels = content(made(power_level_content_override=override), "m.room.power_levels")
    assert levels["events_default"] == 7
    assert levels["state_default"] == 50
    assert levels["events"] == {"x": 1, "m.room.tombstone": 150}
    override = {"events": {"m.room.tombstone": 60}}
    levels = content(made(power_level_content_override=override), "m.room.power_levels")
    assert levels["events"] == override["events"]
    old = content(made(version=V11), "m.room.power_levels")["events"]
    assert isinstance(old, dict)
    assert old["m.room.tombstone"] == 100


def test_members_show_their_profiles() -> None:
    profiles = {ALICE: {"displayname": "Alice"}, BOB: {"avatar_url": "mxc://x/y"}}
    drafts = made(profiles=profiles, invite=(BOB, CAROL), is_direct=True)
    assert content(drafts, "m.room.member", ALICE) == {"membership": "join", "displayname": "Alice"}
    assert content(drafts, "m.room.member", BOB) == {
        "membership": "invite",
        "avatar_url": "mxc://x/y",
        "is_direct": True,
    }
    assert content(drafts, "m.room.member", CAROL) == {"membership": "invite", "is_direct": True}


@pytest.mark.parametrize("fields", [{"preset": "party"}, {"visibility": "secret"}])
def test_unknown_choices(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidParam):
        made(**fields)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("preset", ["private_chat", "trusted_private_chat", "public_chat"])
def test_every_new_room_is_allowed(version: RoomVersion, preset: str) -> None:
    drafts = made(
        version=version,
        preset=preset,
        canonical_alias=RoomAlias("#x:here"),
        name="Kitchen",
        topic="Tea",
        invite=(BOB, UserId("@x:there")),
        initial_state=(InitialState("m.room.encryption", {"algorithm": "x"}),),
    )
    room = FakeRoom(version)
    room.state.clear()
    for draft in drafts:
        authorise.check(draft, room)
        room.put(draft.type, draft.content, draft.state_key or "")
