"""The published rooms: what is told of one, which ones match, a page of them.

They are ordered by members, the largest first. A page begins after a room, not
at a number, so that it stays in place while others are published.
Source: client-server API, `POST /publicRooms`.
"""

from collections.abc import Mapping, Sequence

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId

Place = tuple[int, str]
"""Where a room stands in the list."""


class Listed(msgspec.Struct, frozen=True):
    """A published room and how many are in it."""

    room_id: RoomId
    members: int

    @property
    def place(self) -> Place:
        """The key the list is sorted by."""
        return (-self.members, self.room_id)


class Search(msgspec.Struct, frozen=True):
    """Which rooms somebody is looking for."""

    term: str = ""
    room_types: frozenset[str | None] | None = None

    @property
    def is_everything(self) -> bool:
        """Whether every room matches, whatever is known of it."""
        return not self.term and self.room_types is None


class Slice(msgspec.Struct, frozen=True):
    """A page of the list, and what stands before and after it."""

    rooms: Sequence[Listed]
    next_batch: str | None
    prev_batch: str | None


def take_page(rooms: Sequence[Listed], since: str | None, limit: int) -> Slice:
    """The page that a token names; raises InvalidParam for what is no token."""
    places = [room.place for room in rooms]
    start = 0
    if since is not None:
        is_next, place = _parse_token(since)
        if is_next:
            start = sum(each <= place for each in places)
        else:
            start = max(0, sum(each < place for each in places) - limit)
    page = rooms[start : start + limit]
    end = start + len(page)
    return Slice(
        page,
        _token("n", page[-1]) if page and end < len(rooms) else None,
        _token("p", page[0]) if page and start > 0 else None,
    )


def matches(search: Search, entry: JsonObject) -> bool:
    """Whether a described room is one of those looked for."""
    if search.room_types is not None and entry.get("room_type") not in search.room_types:
        return False
    if not search.term:
        return True
    term = search.term.casefold()
    texts = (entry.get("name"), entry.get("topic"), entry.get("canonical_alias"))
    return any(term in text.casefold() for text in texts if isinstance(text, str))


def describe(room: Listed, state: Mapping[str, JsonObject]) -> JsonObject:
    """What the list says of a room; `state` is the contents of its state events by type."""
    visibility = _text(state, "m.room.history_visibility", "history_visibility")
    entry: JsonObject = {
        "room_id": room.room_id,
        "num_joined_members": room.members,
        "world_readable": visibility == "world_readable",
        "guest_can_join": _text(state, "m.room.guest_access", "guest_access") == "can_join",
    }
    for name, type_, key in (
        ("name", "m.room.name", "name"),
        ("topic", "m.room.topic", "topic"),
        ("avatar_url", "m.room.avatar", "url"),
        ("canonical_alias", "m.room.canonical_alias", "alias"),
        ("join_rule", "m.room.join_rules", "join_rule"),
        ("room_type", "m.room.create", "type"),
    ):
        text = _text(state, type_, key)
        if text:
            entry[name] = text
    return entry


def _text(state: Mapping[str, JsonObject], type_: str, key: str) -> str | None:
    text = state.get(type_, {}).get(key)
    return text if isinstance(text, str) else None


def _token(direction: str, room: Listed) -> str:
    return f"{direction}{room.members}~{room.room_id}"


def _parse_token(token: str) -> tuple[bool, Place]:
    members, mark, room_id = token[1:].partition("~")
    if token[:1] not in ("n", "p") or not mark or not (members.isascii() and members.isdigit()):
        raise InvalidParam("since must be a token of an earlier answer")
    return token[0] == "n", (-int(members), room_id)
