import pytest

from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId
from tidings.rules.public_rooms import Listed, Search, describe, matches, take_page

ROOMS = sorted(
    (
        Listed(RoomId(f"!{name}:here"), members)
        for name, members in zip("abcde", (1, 5, 3, 3, 2), strict=True)
    ),
    key=lambda room: room.place,
)


def test_pages_forwards_give_every_room_once_the_largest_first() -> None:
    seen: list[Listed] = []
    since = None
    while True:
        page = take_page(ROOMS, since, 2)
        seen += page.rooms
        since = page.next_batch
        if since is None:
            break
    assert seen == ROOMS
    assert [room.members for room in seen] == [5, 3, 3, 2, 1]


def test_a_page_leads_back_to_the_one_before_it() -> None:
    first = take_page(ROOMS, None, 2)
    assert first.prev_batch is None
    second = take_page(ROOMS, first.next_batch, 2)
    assert list(take_page(ROOMS, second.prev_batch, 2).rooms) == ROOMS[:2]


def test_a_page_stays_in_place_while_rooms_are_published() -> None:
    first = take_page(ROOMS, None, 2)
    grown = [Listed(RoomId("!new:here"), 9), *ROOMS]
    assert list(take_page(grown, first.next_batch, 2).rooms) == ROOMS[2:4]


@pytest.mark.parametrize("since", ["", "x", "n", "n5", "n~!a:here", "nx~!a:here", "q5~!a:here"])
def test_other_text_is_no_token(since: str) -> None:
    with pytest.raises(InvalidParam):
        take_page(ROOMS, since, 2)


def test_a_room_is_described_by_its_state() -> None:
    state: dict[str, JsonObject] = {
        "m.room.create": {"type": "m.space"},
        "m.room.name": {"name": "Cheese"},
        "m.room.topic": {"topic": "Tasty"},
        "m.room.avatar": {"url": "mxc://here/a"},
        "m.room.canonical_alias": {"alias": "#cheese:here"},
        "m.room.join_rules": {"join_rule": "knock"},
        "m.room.history_visibility": {"history_visibility": "world_readable"},
        "m.room.guest_access": {"guest_access": "can_join"},
    }
    assert describe(ROOMS[0], state) == {
        "room_id": "!b:here",
        "num_joined_members": 5,
        "world_readable": True,
        "guest_can_join": True,
        "name": "Cheese",
        "topic": "Tasty",
        "avatar_url": "mxc://here/a",
        "canonical_alias": "#cheese:here",
        "join_rule": "knock",
        "room_type": "m.space",
    }


def test_what_is_not_known_is_left_out() -> None:
    state: dict[str, JsonObject] = {"m.room.name": {"name": 5}, "m.room.topic": {"topic": ""}}
    assert describe(ROOMS[0], state) == {
        "room_id": "!b:here",
        "num_joined_members": 5,
        "world_readable": False,
        "guest_can_join": False,
    }


def test_a_search_looks_at_name_topic_and_alias_without_case() -> None:
    entry: JsonObject = {"name": "Käse", "topic": "Tasty", "canonical_alias": "#brie:here"}
    assert all(matches(Search(term), entry) for term in ("", "KÄSE", "tast", "brie"))
    assert not matches(Search("gouda"), entry)


def test_a_search_may_be_for_types_of_rooms() -> None:
    plain: JsonObject = {"name": "a"}
    space: JsonObject = {"name": "a", "room_type": "m.space"}
    both = [plain, space]
    spaces, plains = Search(room_types=frozenset({"m.space"})), Search(room_types=frozenset({None}))
    assert [entry for entry in both if matches(spaces, entry)] == [space]
    assert [entry for entry in both if matches(plains, entry)] == [plain]
    assert not spaces.is_everything
