import json

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.rules.sliding_sync import Answer, RoomResult, assemble, hero_of, raw, text_of

ALICE = UserId("@alice:localhost")


def member(content: str) -> Event:
    encoded = b'{"content":%b}' % content.encode()
    event_id, room_id = EventId("$e"), RoomId("!r")
    return Event(
        StreamPosition(1), event_id, room_id, "m.room.member", ALICE, ALICE, 0, encoded
    )  # fmt: skip


def test_what_has_not_changed_is_left_out() -> None:
    body = assemble(Answer("s1_a", rooms={RoomId("!r"): RoomResult(name=None, num_live=0)}))
    assert json.loads(body) == {"pos": "s1_a", "rooms": {"!r": {"name": None, "num_live": 0}}}


def test_events_are_passed_on_as_they_are_encoded() -> None:
    result = RoomResult(timeline=raw([b'{"a": 1}', b'{"b": 2}']))
    assert b'"timeline":[{"a": 1},{"b": 2}]' in assemble(Answer("s1", rooms={RoomId("!r"): result}))


def test_a_hero_is_shown_as_their_member_event_says() -> None:
    shown = hero_of(ALICE, member('{"displayname":"Alice","avatar_url":5}'))
    assert (shown.user_id, shown.displayname, shown.avatar_url) == (ALICE, "Alice", None)
    assert hero_of(ALICE, None).displayname is None


def test_texts_that_are_none_count_as_missing() -> None:
    assert text_of(member('{"name":"x"}'), "name") == "x"
    for content in ("{}", '{"name":""}', '{"name":[]}'):
        assert text_of(member(content), "name") is None
    assert text_of(None, "name") is None
