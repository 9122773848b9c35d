import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import json_values
from tests.rules.fakes import ALICE, BOB, CAROL, DAVE, ROOM, event
from tidings.protocol.events import Event, JsonObject
from tidings.rules import push
from tidings.rules.push import Actions, Recipient, RoomContext

SILENT = Actions()
NOTIFY = Actions(notify=True)
SOUND = Actions(notify=True, sound="default")
HIGHLIGHT = Actions(notify=True, highlight=True)
LOUDEST = Actions(notify=True, highlight=True, sound="default")

CROWD = RoomContext(member_count=9, sender_level=0, notification_level=50)
PAIR = RoomContext(member_count=2, sender_level=0, notification_level=50)
RULED = RoomContext(member_count=9, sender_level=50, notification_level=50)
DEFAULT = push.compile_ruleset(push.default_ruleset(BOB), BOB)
MEMBER = Recipient(BOB, "Bob")


def message(**content: object) -> Event:
    return event("m.room.message", ALICE, {"msgtype": "m.text", "body": "hello", **content})


def edit(**content: object) -> Event:
    return message(**{"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}}, **content)


def mentions(**value: object) -> dict[str, object]:
    return {"m.mentions": value}


INVITE: JsonObject = {"membership": "invite"}


@pytest.mark.parametrize(
    ("sent", "room", "expected"),
    [
        (message(), CROWD, NOTIFY),
        (message(), PAIR, SOUND),
        (message(msgtype="m.notice"), CROWD, SILENT),
        (message(msgtype="m.notice", **mentions(user_ids=[BOB])), CROWD, SILENT),
        (message(msgtype=5), CROWD, NOTIFY),
        (message(body="hi bob"), CROWD, NOTIFY),  # names in the body are no mention since 1.17
        (message(**mentions(user_ids=[BOB])), CROWD, LOUDEST),
        (message(**mentions(user_ids=[CAROL])), CROWD, NOTIFY),
        (message(**mentions(user_ids=BOB)), CROWD, NOTIFY),
        (message(**mentions(room=True)), CROWD, NOTIFY),
        (message(**mentions(room=True)), RULED, HIGHLIGHT),
        (message(**mentions(room=1)), RULED, NOTIFY),
        (message(**mentions(room=True, user_ids=[BOB])), RULED, LOUDEST),
        (edit(), CROWD, SILENT),
        (edit(**mentions(user_ids=[BOB])), CROWD, LOUDEST),
        (edit(**mentions(room=True)), RULED, HIGHLIGHT),
        (event("m.room.encrypted", ALICE, {}), CROWD, NOTIFY),
        (event("m.room.encrypted", ALICE, {}), PAIR, SOUND),
        (event("m.call.invite", ALICE, {}), CROWD, Actions(notify=True, sound="ring")),
        (event("m.reaction", ALICE, {}), PAIR, SILENT),
        (event("m.reaction", ALICE, mentions(user_ids=[BOB])), PAIR, LOUDEST),
        (event("m.sticker", ALICE, {}), PAIR, SILENT),
        (event("m.room.name", ALICE, {}, ""), PAIR, SILENT),
        (event("m.room.tombstone", ALICE, {}, ""), PAIR, HIGHLIGHT),
        (event("m.room.tombstone", ALICE, {}), PAIR, SILENT),
        (event("m.room.server_acl", ALICE, {}, ""), PAIR, SILENT),
        (event("m.room.member", ALICE, INVITE, BOB), PAIR, SOUND),
        (event("m.room.member", ALICE, INVITE, CAROL), PAIR, SILENT),
        (event("m.room.member", ALICE, {"membership": "ban"}, BOB), PAIR, SILENT),
        (event("m.room.message", BOB, {"body": "x"}), CROWD, SILENT),
    ],
)
def test_the_default_rules(sent: Event, room: RoomContext, expected: Actions) -> None:
    assert push.evaluate(sent, DEFAULT, MEMBER, room) == expected


def ruleset(**kinds: object) -> push.Ruleset:
    return push.compile_ruleset(dict(kinds), BOB)


def rule(rule_id: str, actions: list[object], **more: object) -> JsonObject:
    return {"rule_id": rule_id, "actions": actions, "enabled": True, "default": False, **more}


def test_kinds_in_their_order() -> None:
    rules = {
        "override": [rule("o", ["notify", {"set_tweak": "sound", "value": "override"}])],
        "content": [
            rule("c", ["notify", {"set_tweak": "sound", "value": "content"}], pattern="hello")
        ],
        "room": [rule(ROOM, ["notify", {"set_tweak": "sound", "value": "room"}])],
        "sender": [rule(ALICE, ["notify", {"set_tweak": "sound", "value": "sender"}])],
        "underride": [rule("u", ["notify", {"set_tweak": "sound", "value": "underride"}])],
    }
    for kind in ("override", "content", "room", "sender", "underride"):
        backwards = dict(reversed(rules.items()))
        assert push.evaluate(message(), ruleset(**backwards), MEMBER, CROWD).sound == kind
        del rules[kind]
    assert push.evaluate(message(), ruleset(), MEMBER, CROWD) == SILENT


def test_rules_of_a_kind_in_their_order() -> None:
    first, second = rule("a", []), rule("b", ["notify"])
    assert push.evaluate(message(), ruleset(override=[first, second]), MEMBER, CROWD) == SILENT
    assert push.evaluate(message(), ruleset(override=[second, first]), MEMBER, CROWD) == NOTIFY


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([], SILENT),
        (["dont_notify"], SILENT),
        (["coalesce"], SILENT),
        (["dont_notify", "notify"], NOTIFY),
        ([{"set_tweak": "highlight"}], SILENT),
        (["notify", {"set_tweak": "highlight"}], HIGHLIGHT),
        (["notify", {"set_tweak": "highlight", "value": True}], HIGHLIGHT),
        (["notify", {"set_tweak": "highlight", "value": False}], NOTIFY),
        (["notify", {"set_tweak": "sound", "value": 5}], NOTIFY),
        (["notify", {"set_tweak": ["sound"]}, 5, None, {}], NOTIFY),
    ],
)
def test_actions(actions: list[object], expected: Actions) -> None:
    rules = ruleset(override=[rule("a", actions)])
    assert push.evaluate(message(), rules, MEMBER, CROWD) == expected


@pytest.mark.parametrize(
    "broken",
    [
        None,
        5,
        [],
        {},
        rule("a", ["notify"], enabled=False),
        rule("a", ["notify"], conditions=5),
        rule("a", ["notify"], conditions=[{"kind": "org.example.unknown"}]),
        {"rule_id": "a", "actions": "notify"},
    ],
)
def test_broken_rules_never_match(broken: object) -> None:
    assert ruleset(override=[broken], underride=[broken]).rules == ()
    assert push.compile_ruleset({"override": broken, "room": 5}, BOB).rules == ()
    assert ruleset(content=[broken], room=[{"rule_id": 5, "actions": []}]).rules == ()


def test_is_default() -> None:
    assert DEFAULT.is_default
    changed = push.set_enabled(push.default_ruleset(BOB), "override", ".m.rule.master", True)
    assert not push.compile_ruleset(changed, BOB).is_default
    assert not push.compile_ruleset(push.default_ruleset(ALICE), BOB).is_default


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, None),
        ({"m.mentions": None}, None),
        ({"m.mentions": {}}, set()),
        ({"m.mentions": {"user_ids": BOB}}, set()),
        ({"m.mentions": {"user_ids": [BOB, 5, None, [CAROL], BOB]}}, {BOB}),
    ],
)
def test_mentioned(content: JsonObject, expected: set[str] | None) -> None:
    assert push.mentioned(event("x", ALICE, content)) == expected


USERS = [ALICE, BOB, CAROL, DAVE]
_TYPES = st.sampled_from(
    [
        "m.room.message",
        "M.Room.Message",
        "m.room.encrypted",
        "m.room.member",
        "m.room.tombstone",
        "m.room.server_acl",
        "m.reaction",
        "m.call.invite",
        "x",
    ]
)
_SCRAPS = json_values.scalars | st.lists(json_values.scalars, max_size=2)
_CONTENT = st.fixed_dictionaries(
    {},
    optional={
        "body": st.text("bob carol,", max_size=12) | _SCRAPS,
        "msgtype": st.sampled_from(["m.text", "m.notice", "M.NOTICE"]) | _SCRAPS,
        "membership": st.sampled_from(["join", "invite"]) | _SCRAPS,
        "m.mentions": st.fixed_dictionaries(
            {},
            optional={
                "user_ids": st.lists(st.sampled_from(USERS) | json_values.scalars) | _SCRAPS,
                "room": st.booleans() | _SCRAPS,
            },
        )
        | _SCRAPS,
        "m.relates_to": st.fixed_dictionaries(
            {}, optional={"rel_type": st.sampled_from(["m.replace", "m.thread"]) | _SCRAPS}
        )
        | _SCRAPS,
    },
)
_EVENTS = st.builds(
    event,
    type=_TYPES,
    sender=st.sampled_from(USERS),
    content=_CONTENT,
    state_key=st.none() | st.just("") | st.sampled_from(USERS),
)
_ROOMS = st.builds(
    RoomContext,
    member_count=st.integers(1, 4),
    sender_level=st.sampled_from([0, 50]),
    notification_level=st.sampled_from([0, 50]),
)
RULES = {user_id: push.compile_ruleset(push.default_ruleset(user_id), user_id) for user_id in USERS}


@settings(max_examples=1000)
@given(_EVENTS, _ROOMS)
def test_a_room_at_once_as_member_by_member(sent: Event, room: RoomContext) -> None:
    named = push.mentioned(sent) or frozenset()
    for user_id in USERS:
        actions = push.evaluate(sent, RULES[user_id], Recipient(user_id), room)
        if user_id == sent.sender:
            assert actions == SILENT
        elif user_id not in named and user_id != sent.state_key:
            assert actions.notify == push.is_loud(sent, room)
            assert actions.highlight == push.mentions_room(sent, room)


_HOSTILE_RULES = st.dictionaries(
    st.sampled_from(["override", "content", "room", "sender", "underride", "x"]),
    st.lists(
        st.fixed_dictionaries(
            {"rule_id": json_values.scalars, "actions": json_values.values},
            optional={
                "conditions": json_values.values,
                "pattern": json_values.scalars,
                "enabled": json_values.scalars,
            },
        )
        | json_values.values
    )
    | json_values.values,
)


@given(_HOSTILE_RULES, _EVENTS, _ROOMS)
def test_rules_of_any_shape_and_order(rules: JsonObject, sent: Event, room: RoomContext) -> None:
    actions = push.evaluate(sent, push.compile_ruleset(rules, BOB), MEMBER, room)
    shuffled = dict(reversed(rules.items()))
    assert push.evaluate(sent, push.compile_ruleset(shuffled, BOB), MEMBER, room) == actions


def test_tweaks_that_only_apps_understand_are_passed_on() -> None:
    flash = {"set_tweak": "flash", "value": "red"}
    blink, silent = {"set_tweak": "blink"}, {"set_tweak": "highlight", "value": False}
    actions = ["notify", flash, blink, silent, {"set_tweak": "sound", "value": "ring"}]
    ruleset = push.set_rule(push.default_ruleset(BOB), "override", "all", {"actions": actions})
    judged = push.evaluate(message(), push.compile_ruleset(ruleset, BOB), MEMBER, CROWD)
    assert judged.tweaks() == {"sound": "ring", "flash": "red", "blink": True}
    assert judged.to_json() == ["notify", {"set_tweak": "sound", "value": "ring"}, flash, blink]


def test_actions_as_a_rule_has_them() -> None:
    assert SILENT.to_json() == []
    sound = {"set_tweak": "sound", "value": "default"}
    assert LOUDEST.to_json() == ["notify", sound, {"set_tweak": "highlight"}]
