import pytest

from tidings.client.room_names import member_name, room_name
from tidings.client.state import Room
from tidings.protocol.events import JsonObject

ME = "@me:h"


def state(event_type: str, key: str, **content: object) -> dict[tuple[str, str], JsonObject]:
    return {(event_type, key): {"type": event_type, "state_key": key, "content": content}}


def member(user_id: str, name: str | None = None) -> dict[tuple[str, str], JsonObject]:
    return state("m.room.member", user_id, membership="join", displayname=name)


def room(*parts: dict[tuple[str, str], JsonObject], **summary: object) -> Room:
    merged = {key: event for part in parts for key, event in part.items()}
    return Room("join", state=merged, summary={f"m.{name}": v for name, v in summary.items()})


NAMED = state("m.room.name", "", name=" Dev ")
ALIASED = state("m.room.canonical_alias", "", alias="#dev:h")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (room(NAMED, ALIASED), "Dev"),
        (room(state("m.room.name", "", name=""), ALIASED), "#dev:h"),
        (room(state("m.room.name", "", name=7)), "Empty room"),
        (
            room(member("@a:h", "Ann"), heroes=["@a:h"], joined_member_count=2),
            "Ann",
        ),
        (
            room(member("@a:h", "Ann"), heroes=["@a:h", "@b:h"], joined_member_count=3),
            "Ann and @b:h",
        ),
        (
            room(
                member("@a:h", "Ann"),
                member("@b:h", "Ann"),
                heroes=["@a:h", "@b:h"],
                joined_member_count=9,
            ),
            "Ann (@a:h), Ann (@b:h) and 6 others",
        ),
        (
            room(member("@a:h", "Ann"), heroes=["@a:h"], joined_member_count=1),
            "Empty room (was Ann)",
        ),
        (room(heroes=["@a:h"], joined_member_count=1, invited_member_count=1), "@a:h"),
        (room(member(ME), member("@a:h", "Ann")), "Ann"),
    ],
)
def test_a_room_is_called(given: Room, name: str) -> None:
    assert room_name(given, ME) == name


def test_two_members_of_one_name_are_told_apart() -> None:
    given = room(member("@a:h", "Ann"), member("@b:h", "Ann"), member("@c:h", "Cleo"))
    assert member_name(given, "@a:h") == "Ann (@a:h)"
    assert member_name(given, "@c:h") == "Cleo"
    assert member_name(given, "@nobody:h") == "@nobody:h"
