"""A user's push rules as the JSON clients read and edit.

A ruleset maps the kinds of rules to lists, most important rule first. The
server's own rules are marked `default` and named with a leading dot; only
their actions and whether they are enabled can be changed.
Source: push notifications, "Predefined Rules" and "Push Rules: API".
"""

from collections.abc import Mapping

from tidings.protocol.errors import BadJson, InvalidParam, MissingParam, NotFound, Unknown
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId

KINDS = ("override", "content", "room", "sender", "underride")
"""In the order in which they are tried."""

MASTER = ".m.rule.master"
RULES_MAX = 1000
"""Ours: rules of one kind that a user may keep."""


def default_ruleset(user_id: UserId) -> JsonObject:
    """The rules of a user who has changed none: the value of `global`."""
    ruleset: JsonObject = {kind: [] for kind in KINDS}
    ruleset["override"] = [
        _rule(MASTER, [], [], enabled=False),
        _rule(".m.rule.suppress_notices", [_matches("content.msgtype", "m.notice")], []),
        _rule(
            ".m.rule.invite_for_me",
            [
                _matches("type", "m.room.member"),
                _matches("content.membership", "invite"),
                _matches("state_key", user_id),
            ],
            ["notify", _sound("default")],
        ),
        _rule(".m.rule.member_event", [_matches("type", "m.room.member")], []),
        _rule(
            ".m.rule.is_user_mention",
            [
                {
                    "kind": "event_property_contains",
                    "key": r"content.m\.mentions.user_ids",
                    "value": user_id,
                }
            ],
            ["notify", _sound("default"), _highlight()],
        ),
        _rule(
            ".m.rule.is_room_mention",
            [
                _is(r"content.m\.mentions.room", value=True),
                {"kind": "sender_notification_permission", "key": "room"},
            ],
            ["notify", _highlight()],
        ),
        _rule(
            ".m.rule.tombstone",
            [_matches("type", "m.room.tombstone"), _matches("state_key", "")],
            ["notify", _highlight()],
        ),
        _rule(".m.rule.reaction", [_matches("type", "m.reaction")], []),
        _rule(
            ".m.rule.room.server_acl",
            [_matches("type", "m.room.server_acl"), _matches("state_key", "")],
            [],
        ),
        _rule(
            ".m.rule.suppress_edits",
            [_is(r"content.m\.relates_to.rel_type", value="m.replace")],
            [],
        ),
    ]
    ruleset["underride"] = [
        _rule(".m.rule.call", [_matches("type", "m.call.invite")], ["notify", _sound("ring")]),
        _rule(
            ".m.rule.encrypted_room_one_to_one",
            [_one_to_one(), _matches("type", "m.room.encrypted")],
            ["notify", _sound("default")],
        ),
        _rule(
            ".m.rule.room_one_to_one",
            [_one_to_one(), _matches("type", "m.room.message")],
            ["notify", _sound("default")],
        ),
        _rule(".m.rule.message", [_matches("type", "m.room.message")], ["notify"]),
        _rule(".m.rule.encrypted", [_matches("type", "m.room.encrypted")], ["notify"]),
    ]
    return ruleset


def get_rule(ruleset: JsonObject, kind: str, rule_id: str) -> JsonObject:
    """The rule of that kind and id; raises NotFound."""
    rules = _rules_of(ruleset, kind)
    return rules[_get_index(rules, rule_id)]


def set_rule(  # noqa: PLR0913, PLR0917 - the parameters of the endpoint
    ruleset: JsonObject,
    kind: str,
    rule_id: str,
    rule: JsonObject,
    before: str | None = None,
    after: str | None = None,
) -> JsonObject:
    """The ruleset with a user's rule added or changed, next to the rule named, if one is."""
    rules = _rules_of(ruleset, kind)
    _check_own_id(rule_id)
    changed = _checked_rule(kind, rule_id, rule)
    index = _find_index(rules, rule_id)
    if index is not None:
        changed["enabled"] = rules[index].get("enabled", True)
        rules = rules[:index] + rules[index + 1 :]
    elif len(rules) >= RULES_MAX:
        raise InvalidParam(f"You may keep at most {RULES_MAX} push rules of a kind")
    if before is not None or after is not None:
        index = _place_beside(rules, before, after)
    elif index is None:
        index = 1 if rules and rules[0].get("rule_id") == MASTER else 0
    return _with_rules(ruleset, kind, [*rules[:index], changed, *rules[index:]])


def delete_rule(ruleset: JsonObject, kind: str, rule_id: str) -> JsonObject:
    """The ruleset without a user's rule; raises NotFound, InvalidParam for the server's own."""
    rules = _rules_of(ruleset, kind)
    index = _get_index(rules, rule_id)
    if rule_id.startswith("."):
        raise InvalidParam("Rules whose id begins with a dot cannot be deleted, only disabled")
    return _with_rules(ruleset, kind, rules[:index] + rules[index + 1 :])


def set_enabled(ruleset: JsonObject, kind: str, rule_id: str, enabled: object) -> JsonObject:
    """The ruleset with the rule switched on or off; raises NotFound."""
    if not isinstance(enabled, bool):
        raise BadJson("enabled must be true or false")
    return _with_member(ruleset, kind, rule_id, {"enabled": enabled})


def set_actions(ruleset: JsonObject, kind: str, rule_id: str, actions: object) -> JsonObject:
    """The ruleset with other actions for the rule; raises NotFound."""
    return _with_member(ruleset, kind, rule_id, {"actions": _checked_actions(actions)})


def _rule(
    rule_id: str, conditions: list[object], actions: list[object], *, enabled: bool = True
) -> JsonObject:
    return {
        "rule_id": rule_id,
        "default": True,
        "enabled": enabled,
        "conditions": conditions,
        "actions": actions,
    }


def _matches(key: str, pattern: str) -> JsonObject:
    return {"kind": "event_match", "key": key, "pattern": pattern}


def _is(key: str, *, value: object) -> JsonObject:
    return {"kind": "event_property_is", "key": key, "value": value}


def _one_to_one() -> JsonObject:
    return {"kind": "room_member_count", "is": "2"}


def _sound(name: str) -> JsonObject:
    return {"set_tweak": "sound", "value": name}


def _highlight() -> JsonObject:
    return {"set_tweak": "highlight"}


def _rules_of(ruleset: JsonObject, kind: str) -> list[JsonObject]:
    if kind not in KINDS:
        raise InvalidParam(f"The kinds of push rules are {', '.join(KINDS)}")
    rules = ruleset.get(kind)
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def _with_rules(ruleset: JsonObject, kind: str, rules: list[JsonObject]) -> JsonObject:
    return {**ruleset, kind: rules}


def _with_member(
    ruleset: JsonObject, kind: str, rule_id: str, member: Mapping[str, object]
) -> JsonObject:
    rules = _rules_of(ruleset, kind)
    index = _get_index(rules, rule_id)
    rules[index] = {**rules[index], **member}
    return _with_rules(ruleset, kind, rules)


def _find_index(rules: list[JsonObject], rule_id: str) -> int | None:
    for index, rule in enumerate(rules):
        if rule.get("rule_id") == rule_id:
            return index
    return None


def _get_index(rules: list[JsonObject], rule_id: str) -> int:
    index = _find_index(rules, rule_id)
    if index is None:
        raise NotFound("The push rule was not found")
    return index


def _place_beside(rules: list[JsonObject], before: str | None, after: str | None) -> int:
    # If both are given, `before` decides.
    neighbour = before if before is not None else after
    index = _find_index(rules, neighbour or "")
    if index is None or (neighbour or "").startswith("."):
        raise Unknown(f"before/after rule not found: {neighbour}")
    return index if before is not None else index + 1


def _check_own_id(rule_id: str) -> None:
    if not rule_id or rule_id.startswith(".") or "/" in rule_id or "\\" in rule_id:
        raise InvalidParam("A rule's id must not begin with a dot nor contain slashes")


def _checked_rule(kind: str, rule_id: str, rule: JsonObject) -> JsonObject:
    if "actions" not in rule:
        raise MissingParam("A push rule must have actions")
    checked: JsonObject = {
        "rule_id": rule_id,
        "default": False,
        "enabled": True,
        "actions": _checked_actions(rule["actions"]),
    }
    if kind == "content":
        checked["pattern"] = _checked_pattern(rule)
    elif kind in ("override", "underride"):
        checked["conditions"] = _checked_conditions(rule.get("conditions", []))
    return checked


def _checked_pattern(rule: JsonObject) -> str:
    if "pattern" not in rule:
        raise MissingParam("A content rule must have a pattern")
    pattern = rule["pattern"]
    if not isinstance(pattern, str):
        raise BadJson("pattern must be a string")
    return pattern


def _checked_conditions(conditions: object) -> list[object]:
    if not isinstance(conditions, list):
        raise BadJson("conditions must be a list")
    for condition in conditions:
        if not isinstance(condition, dict) or not isinstance(condition.get("kind"), str):
            raise BadJson("A condition must be an object with a kind")
    return conditions


def _checked_actions(actions: object) -> list[object]:
    if not isinstance(actions, list):
        raise BadJson("actions must be a list")
    for action in actions:
        if isinstance(action, dict) and isinstance(action.get("set_tweak"), str):
            continue
        if not isinstance(action, str):
            raise BadJson("An action must be a string or an object with set_tweak")
    return actions
