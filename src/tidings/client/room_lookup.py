"""From what a person calls a room to its id: an id, an alias, a name, or somebody to talk to."""

from tidings.client import direct_rooms, rooms
from tidings.client.errors import Ambiguous, not_found
from tidings.client.http import Http
from tidings.client.room_list import load_rooms
from tidings.client.room_names import room_name
from tidings.protocol.ids import RoomId, server_name_of


async def resolve(http: Http, text: str) -> RoomId:
    """The id of an existing room; raises NotFound or Ambiguous."""
    if text.startswith("!"):
        return RoomId(text)
    if text.startswith("#"):
        return await rooms.get_by_alias(http, with_own_server(http, text))
    if text.startswith("@"):
        return await direct_rooms.get(http, with_own_server(http, text))
    return await _get_by_name(http, text)


async def resolve_or_enter(http: Http, text: str) -> RoomId:
    """The same for writing: an invitation by @somebody is taken, else a conversation begun."""
    if not text.startswith("@"):
        return await resolve(http, text)
    return await direct_rooms.get_or_enter(http, with_own_server(http, text))


def with_own_server(http: Http, text: str) -> str:
    """`@ann` and `#dev` as a person of our own server means them."""
    return text if ":" in text else f"{text}:{server_name_of(http.user_id)}"


async def _get_by_name(http: Http, text: str) -> RoomId:
    found = await load_rooms(http)
    names = {
        room_id: room_name(room, http.user_id)
        for room_id, room in found.items()
        if room.membership == "join"
    }
    matches = [room_id for room_id, name in names.items() if name == text] or [
        room_id for room_id, name in names.items() if name.casefold() == text.casefold()
    ]
    if not matches:
        raise not_found(
            f"you are in no room called {text!r}", "see your rooms with: tidings room list"
        )
    if len(matches) > 1:
        raise Ambiguous(
            f"{len(matches)} rooms are called {text!r}: {', '.join(sorted(matches))}",
            "give the id of the one you mean",
        )
    return RoomId(matches[0])
