import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import json_values
from tests.rules.fakes import ALICE, BOB, CAROL, ROOM, V10, V11, V12, FakeRoom
from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tidings.rules import authorise

VERSIONS = list(ROOM_VERSIONS.values())


def refusal(draft: Draft, room: FakeRoom) -> str | None:
    try:
        authorise.check(draft, room)
    except Forbidden as error:
        return error.message
    return None


def message(sender: str = ALICE, **changes: object) -> Draft:
    return Draft(ROOM, "m.room.message", UserId(sender), {"body": "hello"})


@pytest.mark.parametrize("version", VERSIONS)
def test_members_speak(version: RoomVersion) -> None:
    room = FakeRoom(version)
    assert refusal(message(), room) is None
    for membership in ("invite", "leave", "ban", "knock"):
        assert refusal(message(BOB), room.member(BOB, membership)) == "You are not in this room"
    assert refusal(message(BOB), room.member(BOB, "join")) is None


def test_levels_to_send() -> None:
    room = FakeRoom().member(BOB, "join").levels(events={"m.room.message": 5, "m.room.name": 0})
    assert refusal(message(BOB), room) == "Power level 5 is needed to send m.room.message"
    assert refusal(message(), room) is None
    assert refusal(Draft(ROOM, "m.room.name", BOB, {"name": "x"}, ""), room) is None
    topic = refusal(Draft(ROOM, "m.room.topic", BOB, {"topic": "x"}, ""), room)
    assert topic == "Power level 50 is needed to send m.room.topic"


def test_the_redact_level_is_not_asked() -> None:
    room = FakeRoom().member(BOB, "join").levels(redact=100)
    assert refusal(Draft(ROOM, "m.room.redaction", BOB, {}), room) is None


def test_third_party_invites_need_the_invite_level() -> None:
    draft = Draft(ROOM, "m.room.third_party_invite", BOB, {}, "token")
    room = FakeRoom().member(BOB, "join").levels(invite=0, state_default=100)
    assert refusal(draft, room) is None
    assert refusal(draft, room.levels(invite=1)) is not None


def test_state_of_a_user_is_that_user_s() -> None:
    room = FakeRoom().member(BOB, "join").levels(state_default=0)
    assert refusal(Draft(ROOM, "x", BOB, {}, BOB), room) is None
    assert refusal(Draft(ROOM, "x", BOB, {}, ALICE), room) == "Only that user may set this state"
    assert refusal(Draft(ROOM, "x", ALICE, {}, BOB), room) is not None


def test_other_rooms_and_rooms_without_beginning() -> None:
    elsewhere = Draft(RoomId("!other:here"), "m.room.message", ALICE, {})
    assert refusal(elsewhere, FakeRoom()) == "There is no such room"
    empty = FakeRoom()
    empty.state.clear()
    assert refusal(message(), empty) == "There is no such room"


def test_unfederated_rooms_are_for_one_server() -> None:
    room = FakeRoom().put("m.room.create", {"room_version": "12", "m.federate": False})
    stranger = UserId("@bob:elsewhere")
    room.member(stranger, "join").member(BOB, "join")
    assert refusal(message(stranger), room) == "This room is not open to users of other servers"
    assert refusal(message(BOB), room) is None
    assert refusal(message(stranger), room.put("m.room.create", {"m.federate": 0})) is None


CREATE_10: JsonObject = {"room_version": "10", "creator": ALICE}


@pytest.mark.parametrize(
    ("version", "content", "allowed"),
    [
        (V10, CREATE_10, True),
        (V10, {"room_version": "10"}, False),
        (V11, {"room_version": "11"}, True),
        (V11, {"room_version": "12"}, False),
        (V11, {"room_version": 11}, False),
        (V11, {"room_version": []}, False),
        (V11, {}, False),
        (V11, {"room_version": "11", "additional_creators": 5}, True),
        (V12, {"room_version": "12"}, True),
        (V12, {"room_version": "12", "additional_creators": []}, True),
        (V12, {"room_version": "12", "additional_creators": [BOB]}, True),
        (V12, {"room_version": "12", "additional_creators": None}, False),
        (V12, {"room_version": "12", "additional_creators": BOB}, False),
        (V12, {"room_version": "12", "additional_creators": [5]}, False),
        (V12, {"room_version": "12", "additional_creators": ["bob"]}, False),
    ],
)
def test_create(version: RoomVersion, content: JsonObject, allowed: bool) -> None:
    room = FakeRoom(version)
    draft = Draft(ROOM, "m.room.create", ALICE, content, "")
    assert refusal(draft, room) == "The room has been created already"
    room.state.clear()
    assert (refusal(draft, room) is None) is allowed


def test_create_is_a_state_event_of_the_room_s_server() -> None:
    room = FakeRoom(V11)
    room.state.clear()
    content: JsonObject = {"room_version": "11"}
    for state_key in (None, "x"):
        assert refusal(Draft(ROOM, "m.room.create", ALICE, content, state_key), room)
    assert refusal(Draft(RoomId("!x:elsewhere"), "m.room.create", ALICE, content, ""), room)


LEVELS, RULES, CREATE = (
    ("m.room.power_levels", ""),
    ("m.room.join_rules", ""),
    ("m.room.create", ""),
)


def _member(user_id: str) -> tuple[str, str]:
    return "m.room.member", user_id


@pytest.mark.parametrize(
    ("type", "content", "state_key", "expected"),
    [
        ("m.room.create", {}, "", []),
        ("m.room.message", {}, None, [LEVELS, _member(ALICE)]),
        ("m.room.name", {}, "", [LEVELS, _member(ALICE)]),
        ("m.room.member", {"membership": "join"}, ALICE, [LEVELS, _member(ALICE), RULES]),
        (
            "m.room.member",
            {"membership": "join", "join_authorised_via_users_server": CAROL},
            ALICE,
            [LEVELS, _member(ALICE), RULES, _member(CAROL)],
        ),
        (
            "m.room.member",
            {"membership": "invite"},
            BOB,
            [LEVELS, _member(ALICE), _member(BOB), RULES],
        ),
        ("m.room.member", {"membership": "ban"}, BOB, [LEVELS, _member(ALICE), _member(BOB)]),
        ("m.room.member", {"membership": []}, None, [LEVELS, _member(ALICE)]),
    ],
)
def test_auth_events(
    type: str, content: JsonObject, state_key: str | None, expected: list[tuple[str, str]]
) -> None:
    draft = Draft(ROOM, type, ALICE, content, state_key)
    assert authorise.auth_event_keys(draft, V12) == expected
    assert authorise.auth_event_keys(draft, V11) == ([CREATE, *expected] if expected else [])


_TYPES = st.sampled_from(
    [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.third_party_invite",
        "m.room.message",
    ]
)
_NAMES = st.sampled_from([ALICE, BOB, CAROL, UserId(""), UserId("@x"), UserId("@"), UserId("é")])
_WORDS = st.sampled_from(["join", "invite", "leave", "ban", "knock", "public", "restricted", "12"])
_KEYS = st.sampled_from(
    [
        "membership",
        "join_rule",
        "users",
        "users_default",
        "events",
        "ban",
        "room_version",
        "additional_creators",
        "creator",
        "third_party_invite",
        "join_authorised_via_users_server",
        ALICE,
        BOB,
    ]
)
_CONTENT = st.dictionaries(
    _KEYS,
    st.recursive(
        json_values.scalars | _WORDS | _NAMES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
_DRAFTS = st.builds(
    Draft,
    room_id=st.just(ROOM),
    type=_TYPES,
    sender=_NAMES,
    content=_CONTENT,
    state_key=st.none() | st.just("") | _NAMES,
)
_STATE = st.lists(st.tuples(_TYPES, st.just("") | _NAMES, _CONTENT), max_size=6)


@settings(max_examples=500)
@given(_DRAFTS, _STATE, st.sampled_from(VERSIONS), st.booleans())
def test_checking_is_total_and_deterministic(
    draft: Draft,
    state: list[tuple[str, str, JsonObject]],
    version: RoomVersion,
    is_empty: bool,
) -> None:
    room = FakeRoom(version)
    if is_empty:
        room.state.clear()
    for type, state_key, content in state:
        room.put(type, content, state_key)
    first = refusal(draft, room)
    assert refusal(draft, room) == first
    keys = authorise.auth_event_keys(draft, version)
    assert len(keys) == len(set(keys))
    # What decides are the auth events alone: state beside them changes nothing.
    if draft.type != "m.room.create":
        needed = {*keys, ("m.room.create", "")}
        room.state = {key: event for key, event in room.state.items() if key in needed}
        assert refusal(draft, room) == first
