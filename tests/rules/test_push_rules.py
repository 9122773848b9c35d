import copy

import pytest

from tests.rules.fakes import ALICE
from tidings.protocol.errors import (
    BadJson,
    InvalidParam,
    MatrixError,
    MissingParam,
    NotFound,
    Unknown,
)
from tidings.protocol.events import JsonObject
from tidings.rules import push_rules
from tidings.rules.push_rules import default_ruleset, delete_rule, get_rule, set_rule

DEFAULT = default_ruleset(ALICE)
NOTIFY: JsonObject = {"actions": ["notify"]}
CAKE: JsonObject = {"actions": ["notify"], "pattern": "cake"}


def ids(ruleset: JsonObject, kind: str) -> list[str]:
    rules = ruleset[kind]
    assert isinstance(rules, list)
    return [rule["rule_id"] for rule in rules]


def test_the_rules_of_the_spec_in_its_order() -> None:
    assert ids(DEFAULT, "override") == [
        ".m.rule.master",
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.is_room_mention",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ]
    assert ids(DEFAULT, "underride") == [
        ".m.rule.call",
        ".m.rule.encrypted_room_one_to_one",
        ".m.rule.room_one_to_one",
        ".m.rule.message",
        ".m.rule.encrypted",
    ]
    assert [DEFAULT[kind] for kind in ("content", "room", "sender")] == [[], [], []]


def test_a_rule_as_it_stands_in_the_spec() -> None:
    assert get_rule(DEFAULT, "override", ".m.rule.is_user_mention") == {
        "rule_id": ".m.rule.is_user_mention",
        "default": True,
        "enabled": True,
        "conditions": [
            {
                "kind": "event_property_contains",
                "key": "content.m\\.mentions.user_ids",
                "value": ALICE,
            }
        ],
        "actions": [
            "notify",
            {"set_tweak": "sound", "value": "default"},
            {"set_tweak": "highlight"},
        ],
    }


def test_new_rules_come_first_but_after_master() -> None:
    ruleset = set_rule(DEFAULT, "override", "a", NOTIFY)
    ruleset = set_rule(ruleset, "override", "b", NOTIFY)
    assert ids(ruleset, "override")[:4] == [
        ".m.rule.master",
        "b",
        "a",
        ".m.rule.suppress_notices",
    ]
    ruleset = set_rule(ruleset, "content", "cake", CAKE)
    assert get_rule(ruleset, "content", "cake") == {
        "rule_id": "cake",
        "default": False,
        "enabled": True,
        "pattern": "cake",
        "actions": ["notify"],
    }
    ruleset = set_rule(ruleset, "underride", "c", NOTIFY)
    assert ids(ruleset, "underride")[0] == "c"


def test_places() -> None:
    ruleset = DEFAULT
    for rule_id in ("c", "b", "a"):
        ruleset = set_rule(ruleset, "content", rule_id, CAKE)
    assert ids(ruleset, "content") == ["a", "b", "c"]
    assert ids(set_rule(ruleset, "content", "x", CAKE, before="b"), "content") == [*"axbc"]
    assert ids(set_rule(ruleset, "content", "x", CAKE, after="b"), "content") == [*"abxc"]
    both = set_rule(ruleset, "content", "x", CAKE, before="b", after="c")
    assert ids(both, "content") == [*"axbc"]
    assert ids(set_rule(ruleset, "content", "c", CAKE, before="a"), "content") == [*"cab"]
    assert ids(set_rule(ruleset, "content", "b", CAKE), "content") == [*"abc"]


def test_changing_a_rule_leaves_it_disabled() -> None:
    ruleset = set_rule(DEFAULT, "content", "a", CAKE)
    ruleset = push_rules.set_enabled(ruleset, "content", "a", enabled=False)
    ruleset = set_rule(ruleset, "content", "a", {**CAKE, "pattern": "pie"})
    assert get_rule(ruleset, "content", "a")["pattern"] == "pie"
    assert get_rule(ruleset, "content", "a")["enabled"] is False


def test_default_rules_can_be_enabled_and_act_otherwise() -> None:
    ruleset = push_rules.set_enabled(DEFAULT, "override", ".m.rule.master", enabled=True)
    assert get_rule(ruleset, "override", ".m.rule.master")["enabled"] is True
    ruleset = push_rules.set_actions(ruleset, "underride", ".m.rule.message", [])
    assert get_rule(ruleset, "underride", ".m.rule.message")["actions"] == []


def test_delete() -> None:
    ruleset = set_rule(DEFAULT, "room", "!x:y", NOTIFY)
    assert delete_rule(ruleset, "room", "!x:y") == DEFAULT


def test_editing_makes_new_values() -> None:
    before = copy.deepcopy(DEFAULT)
    ruleset = set_rule(DEFAULT, "override", "a", NOTIFY)
    push_rules.set_actions(ruleset, "override", "a", [])
    push_rules.set_enabled(ruleset, "override", ".m.rule.master", enabled=True)
    delete_rule(ruleset, "override", "a")
    assert before == DEFAULT
    assert get_rule(ruleset, "override", "a")["actions"] == ["notify"]


@pytest.mark.parametrize("rule_id", ["", ".x", ".m.rule.master", "a/b", "a\\b"])
def test_reserved_ids(rule_id: str) -> None:
    with pytest.raises(InvalidParam):
        set_rule(DEFAULT, "override", rule_id, NOTIFY)


@pytest.mark.parametrize(
    ("kind", "rule", "error"),
    [
        ("nonsense", NOTIFY, InvalidParam),
        ("room", {}, MissingParam),
        ("content", NOTIFY, MissingParam),
        ("content", {"actions": [], "pattern": 5}, BadJson),
        ("room", {"actions": "notify"}, BadJson),
        ("room", {"actions": [5]}, BadJson),
        ("room", {"actions": [{"value": 1}]}, BadJson),
        ("override", {"actions": [], "conditions": {}}, BadJson),
        ("override", {"actions": [], "conditions": ["x"]}, BadJson),
        ("override", {"actions": [], "conditions": [{"kind": 5}]}, BadJson),
    ],
)
def test_malformed_rules(kind: str, rule: JsonObject, error: type[MatrixError]) -> None:
    with pytest.raises(error):
        set_rule(DEFAULT, kind, "a", rule)


def test_neighbours_are_rules_of_the_user() -> None:
    for neighbour in ("missing", ".m.rule.master", "a", ""):
        with pytest.raises(Unknown, match="before/after rule not found"):
            set_rule(DEFAULT, "override", "a", NOTIFY, before=neighbour)
        with pytest.raises(Unknown):
            set_rule(DEFAULT, "override", "a", NOTIFY, after=neighbour)


def test_missing_rules() -> None:
    with pytest.raises(NotFound):
        get_rule(DEFAULT, "content", "a")
    with pytest.raises(NotFound):
        delete_rule(DEFAULT, "content", "a")
    with pytest.raises(NotFound):
        push_rules.set_enabled(DEFAULT, "content", "a", enabled=True)
    with pytest.raises(NotFound):
        push_rules.set_actions(DEFAULT, "content", "a", [])
    with pytest.raises(InvalidParam):
        get_rule(DEFAULT, "nonsense", "a")
    with pytest.raises(InvalidParam):
        delete_rule(DEFAULT, "override", ".m.rule.master")
    with pytest.raises(BadJson):
        push_rules.set_enabled(DEFAULT, "override", ".m.rule.master", "yes")


def test_rules_are_bounded() -> None:
    rules = [{"rule_id": str(number)} for number in range(push_rules.RULES_MAX)]
    full: JsonObject = {"room": rules}
    with pytest.raises(InvalidParam):
        set_rule(full, "room", "new", NOTIFY)
    assert len(ids(set_rule(full, "room", "7", NOTIFY), "room")) == push_rules.RULES_MAX
