"""The conditions of push rules, compiled once to functions that say yes or no.

A condition that is unknown or malformed compiles to None: its rule never matches.
Source: push notifications, "Conditions"; appendices, "Dot-separated property paths".
"""

import operator
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.globs import compile_glob, compile_word_glob, contains_words
from tidings.protocol.ids import UserId

PATTERN_CHARACTERS_MAX = 255
"""Ours: so that a pattern cannot be made to cost more than a message is worth."""


class Recipient(msgspec.Struct, frozen=True):
    """The member for whom an event is judged."""

    user_id: UserId
    display_name: str | None = None


class RoomContext(msgspec.Struct, frozen=True):
    """What the conditions ask of the room an event is sent to."""

    member_count: int
    sender_level: int
    notification_level: int
    """The power level needed to notify the whole room."""


Condition: TypeAlias = Callable[[Event, Recipient, RoomContext], bool]
_Reader: TypeAlias = Callable[[Event], object]

_ABSENT = object()
_BODY = ("content", "body")
_COUNT = re.compile(r"(==|<=|>=|<|>)?([0-9]{1,15})\Z")
_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def compile_condition(condition: object) -> Condition | None:
    """The condition as a function; None if it can never hold."""
    if not isinstance(condition, dict):
        return None
    kind = condition.get("kind")
    compiler = _COMPILERS.get(kind) if isinstance(kind, str) else None
    return compiler(condition) if compiler else None


def match_event(key: str, pattern: str) -> Condition | None:
    """The condition that a property of the event matches a glob."""
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        return None
    path = parse_path(key)
    read, matches = _reader_of(path), _matcher_of(path, pattern)

    def holds(event: Event, _member: Recipient, _room: RoomContext) -> bool:
        value = read(event)
        return isinstance(value, str) and matches(value)

    return holds


def parse_path(text: str) -> tuple[str, ...]:
    """The property names of a dot-separated path; a backslash escapes a dot or a backslash."""
    names = [""]
    escaped = False
    for character in text:
        if escaped:
            names[-1] += character if character in ".\\" else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ".":
            names.append("")
        else:
            names[-1] += character
    if escaped:
        names[-1] += "\\"
    return tuple(names)


def _matcher_of(path: tuple[str, ...], pattern: str) -> Callable[[str], bool]:
    if path == _BODY:
        return compile_word_glob(pattern).matches
    if "*" in pattern or "?" in pattern:
        return compile_glob(pattern).matches
    literal = pattern.lower()
    return lambda value: value.lower() == literal


def _reader_of(path: tuple[str, ...]) -> _Reader:
    head, *rest = path
    if head == "content" and rest:
        return lambda event: _dig(event.content, rest)
    if rest or head not in _MEMBERS:
        return lambda _event: _ABSENT
    return _MEMBERS[head]


def _dig(value: object, names: list[str]) -> object:
    for name in names:
        if not isinstance(value, dict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


_MEMBERS: Mapping[str, _Reader] = {
    "type": lambda event: event.type,
    "sender": lambda event: event.sender,
    "room_id": lambda event: event.room_id,
    "event_id": lambda event: event.event_id,
    "origin_server_ts": lambda event: event.origin_server_ts,
    "state_key": lambda event: _ABSENT if event.state_key is None else event.state_key,
}


def _compile_event_match(condition: JsonObject) -> Condition | None:
    key, pattern = condition.get("key"), condition.get("pattern")
    if not isinstance(key, str) or not isinstance(pattern, str):
        return None
    return match_event(key, pattern)


def _compile_property_is(condition: JsonObject) -> Condition | None:
    key, wanted = condition.get("key"), condition.get("value", _ABSENT)
    if not isinstance(key, str) or not _is_scalar(wanted):
        return None
    read = _reader_of(parse_path(key))
    return lambda event, _member, _room: _is_same(read(event), wanted)


def _compile_property_contains(condition: JsonObject) -> Condition | None:
    key, wanted = condition.get("key"), condition.get("value", _ABSENT)
    if not isinstance(key, str) or not _is_scalar(wanted):
        return None
    read = _reader_of(parse_path(key))

    def holds(event: Event, _member: Recipient, _room: RoomContext) -> bool:
        values = read(event)
        return isinstance(values, list) and any(_is_same(value, wanted) for value in values)

    return holds


def _compile_display_name(_condition: JsonObject) -> Condition:
    def holds(event: Event, member: Recipient, _room: RoomContext) -> bool:
        body = event.content.get("body")
        if not member.display_name or not isinstance(body, str):
            return False
        return contains_words(body, member.display_name)

    return holds


def _compile_member_count(condition: JsonObject) -> Condition | None:
    text = condition.get("is")
    found = _COUNT.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    compare, count = _COMPARISONS[found[1] or "=="], int(found[2])
    return lambda _event, _member, room: compare(room.member_count, count)


def _compile_notification_permission(condition: JsonObject) -> Condition | None:
    # `room` is the only way of notifying that the spec defines.
    if condition.get("key") != "room":
        return None
    return lambda _event, _member, room: room.sender_level >= room.notification_level


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int)


def _is_same(value: object, wanted: object) -> bool:
    return type(value) is type(wanted) and value == wanted  # True is not 1


_COMPILERS: Mapping[str, Callable[[JsonObject], Condition | None]] = {
    "event_match": _compile_event_match,
    "event_property_is": _compile_property_is,
    "event_property_contains": _compile_property_contains,
    "contains_display_name": _compile_display_name,
    "room_member_count": _compile_member_count,
    "sender_notification_permission": _compile_notification_permission,
}
