"""Which members an event notifies, and how.

`evaluate` judges one event for one member by that member's rules. In a room
of many, nearly all have the default rules, and those judge nearly all of them
alike: `is_loud` and `mentions_room` say how, `mentioned` says who
may differ. For every user of default rules, the fast way and `evaluate` agree.
Source: client-server API, "Push Notifications".
"""

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import UserId
from tidings.rules.push_conditions import (
    Condition,
    Recipient,
    RoomContext,
    compile_condition,
    match_event,
)
from tidings.rules.push_rules import (
    KINDS,
    default_ruleset,
    delete_rule,
    get_rule,
    set_actions,
    set_enabled,
    set_rule,
)

__all__ = [
    "Actions",
    "Recipient",
    "RoomContext",
    "Ruleset",
    "compile_ruleset",
    "default_ruleset",
    "delete_rule",
    "evaluate",
    "get_rule",
    "is_loud",
    "mentioned",
    "mentions_room",
    "set_actions",
    "set_enabled",
    "set_rule",
]


class Actions(msgspec.Struct, frozen=True):
    """What an event does to a member."""

    notify: bool = False
    highlight: bool = False
    sound: str | None = None
    others: tuple[tuple[str, object], ...] = ()
    """Tweaks that only apps and their gateways understand: they are passed on as they are."""

    def tweaks(self) -> JsonObject:
        """How to present a notification, as gateways are told."""
        tweaks: JsonObject = {}
        if self.sound is not None:
            tweaks["sound"] = self.sound
        if self.highlight:
            tweaks["highlight"] = True
        return {**tweaks, **dict(self.others)}

    def to_json(self) -> list[object]:
        """The actions as a rule has them."""
        if not self.notify:
            return []
        tweaks: list[object] = [
            {"set_tweak": name} if value is True else {"set_tweak": name, "value": value}
            for name, value in self.tweaks().items()
        ]
        return ["notify", *tweaks]


class Rule(msgspec.Struct, frozen=True):
    """A compiled rule."""

    conditions: tuple[Condition, ...]
    actions: Actions


class Ruleset(msgspec.Struct, frozen=True):
    """The enabled rules of a user, compiled, most important first."""

    rules: tuple[Rule, ...]
    is_default: bool


_SILENT = Actions()


def compile_ruleset(ruleset: JsonObject, user_id: UserId) -> Ruleset:
    """Compile a user's rules; rules that are disabled, unknown or malformed are left out."""
    rules: list[Rule] = []
    for kind in KINDS:
        of_kind = ruleset.get(kind)
        if isinstance(of_kind, list):
            rules.extend(rule for json in of_kind if (rule := _compile_rule(kind, json)))
    return Ruleset(tuple(rules), ruleset == default_ruleset(user_id))


def evaluate(event: Event, rules: Ruleset, member: Recipient, room: RoomContext) -> Actions:
    """What the event does to the member: the actions of the first rule that matches."""
    if event.sender == member.user_id:
        return _SILENT
    for rule in rules.rules:
        for condition in rule.conditions:
            if not condition(event, member, room):
                break
        else:
            return rule.actions
    return _SILENT


def is_loud(event: Event, room: RoomContext) -> bool:
    """Whether the event notifies an ordinary member: of default rules, neither sender nor named."""
    return _ordinary_actions(event, room).notify


def mentions_room(event: Event, room: RoomContext) -> bool:
    """Whether the event highlights for every member of default rules, as @room and upgrades do."""
    return _ordinary_actions(event, room).highlight


def mentioned(event: Event) -> frozenset[UserId] | None:
    """The users the event says it mentions; None if it says nothing of mentions."""
    mentions = event.content.get("m.mentions")
    if not isinstance(mentions, dict):
        return None
    user_ids = mentions.get("user_ids")
    if not isinstance(user_ids, list):
        return frozenset()
    return frozenset(UserId(user_id) for user_id in user_ids if isinstance(user_id, str))


_NOTIFY = Actions(notify=True)
_HIGHLIGHT = Actions(notify=True, highlight=True)
_NOTIFYING_TYPES = frozenset({"m.room.message", "m.room.encrypted", "m.call.invite"})


def _ordinary_actions(event: Event, room: RoomContext) -> Actions:
    # The default rules in their order, without those that name a user.
    content = event.content
    msgtype = content.get("msgtype")
    event_type = event.type.lower()
    if isinstance(msgtype, str) and msgtype.lower() == "m.notice":
        return _SILENT
    if event_type == "m.room.member":
        return _SILENT
    if _is_room_mention(content, room):
        return _HIGHLIGHT
    if event_type == "m.room.tombstone" and event.state_key == "":
        return _HIGHLIGHT
    if event_type not in _NOTIFYING_TYPES:
        return _SILENT
    relation = content.get("m.relates_to")
    if isinstance(relation, dict) and relation.get("rel_type") == "m.replace":
        return _SILENT
    return _NOTIFY


def _is_room_mention(content: JsonObject, room: RoomContext) -> bool:
    mentions = content.get("m.mentions")
    if not isinstance(mentions, dict) or mentions.get("room") is not True:
        return False
    return room.sender_level >= room.notification_level


def _compile_rule(kind: str, rule: object) -> Rule | None:
    if not isinstance(rule, dict) or rule.get("enabled", True) is not True:
        return None
    actions, conditions = _compile_actions(rule.get("actions")), _conditions_of(kind, rule)
    if actions is None or conditions is None:
        return None
    return Rule(conditions, actions)


def _conditions_of(kind: str, rule: JsonObject) -> tuple[Condition, ...] | None:
    if kind in ("override", "underride"):
        return _compile_conditions(rule.get("conditions", []))
    # The other kinds have one condition, which their kind implies.
    if kind == "content":
        pattern = rule.get("pattern")
        condition = match_event("content.body", pattern) if isinstance(pattern, str) else None
    else:
        condition = _condition_of_id(kind, rule.get("rule_id"))
    return (condition,) if condition else None


def _compile_conditions(conditions: object) -> tuple[Condition, ...] | None:
    if not isinstance(conditions, list):
        return None
    compiled = [compile_condition(condition) for condition in conditions]
    known = tuple(condition for condition in compiled if condition)
    return known if len(known) == len(compiled) else None


def _condition_of_id(kind: str, rule_id: object) -> Condition | None:
    if not isinstance(rule_id, str):
        return None
    if kind == "room":
        return lambda event, _member, _room: event.room_id == rule_id
    return lambda event, _member, _room: event.sender == rule_id


def _compile_actions(actions: object) -> Actions | None:
    if not isinstance(actions, list):
        return None
    if "notify" not in actions:
        return _SILENT  # tweaks alone, and the historical actions, do nothing
    tweaks = {}
    for action in actions:
        if isinstance(action, dict) and isinstance(action.get("set_tweak"), str):
            tweaks[action["set_tweak"]] = action.get("value", True)
    sound = tweaks.get("sound")
    return Actions(
        notify=True,
        highlight="highlight" in tweaks and tweaks["highlight"] is not False,
        sound=sound if isinstance(sound, str) else None,
        others=tuple(
            (name, value) for name, value in tweaks.items() if name not in ("highlight", "sound")
        ),
    )
