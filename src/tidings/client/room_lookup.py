"""From what a person calls a room to its id: an id, an alias, a name, or somebody to talk to."""

from tidings.client import rooms
from tidings.client.errors import Ambiguous, NotFound, not_found
from tidings.client.http import Http, v3
from tidings.client.room_names import room_name
from tidings.client.state import ClientState, Room, fold
from tidings.client.sync_loop import sync_once
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, server_name_of

NAMES_FILTER: JsonObject = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {
        "timeline": {"limit": 1, "types": ["m.room.name"]},
        "state": {
            "types": ["m.room.name", "m.room.canonical_alias", "m.room.member"],
            "lazy_load_members": True,
        },
        "ephemeral": {"types": []},
        "account_data": {"types": []},
    },
}
"""As little as it takes to know every room's name."""


async def load_rooms(http: Http) -> dict[str, Room]:
    """The rooms we are in or invited to, with what is needed to name them."""
    state = fold(ClientState(), await sync_once(http, NAMES_FILTER))
    return state.rooms


async def resolve(http: Http, text: str) -> RoomId:
    """The id of an existing room; raises NotFound or Ambiguous."""
    if text.startswith("!"):
        return RoomId(text)
    if text.startswith("#"):
        return await rooms.get_by_alias(http, _with_server(http, text))
    if text.startswith("@"):
        return await _get_direct(http, _with_server(http, text))
    return await _get_by_name(http, text)


async def resolve_or_create(http: Http, text: str) -> RoomId:
    """The same, but a conversation with @somebody is begun if there is none."""
    try:
        return await resolve(http, text)
    except NotFound:
        if not text.startswith("@"):
            raise
    return await _create_direct(http, _with_server(http, text))


def _with_server(http: Http, text: str) -> str:
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


async def _get_direct(http: Http, user_id: str) -> RoomId:
    """The latest conversation with somebody in which both still are."""
    known = (await _load_direct(http)).get(user_id, [])
    joined = set(await rooms.load_joined(http)) if known else set()
    for room_id in reversed(known):
        if room_id in joined and await _is_present(http, room_id, user_id):
            return room_id
    raise not_found(f"you have no conversation with {user_id}")


async def _is_present(http: Http, room_id: RoomId, user_id: str) -> bool:
    try:
        return await rooms.load_membership(http, room_id, user_id) in {"join", "invite"}
    except NotFound:
        return False


async def _create_direct(http: Http, user_id: str) -> RoomId:
    await http.get(v3("profile", user_id), JsonObject)  # raises NotFound for nobody
    room = rooms.CreateRoom(preset="trusted_private_chat", invite=[user_id], is_direct=True)
    room_id = await rooms.create(http, room)
    direct = await _load_direct(http)
    direct[user_id] = [*direct.get(user_id, []), room_id]
    await http.put(v3("user", http.user_id, "account_data", "m.direct"), direct, JsonObject)
    return room_id


async def _load_direct(http: Http) -> dict[str, list[RoomId]]:
    path = v3("user", http.user_id, "account_data", "m.direct")
    try:
        return await http.get(path, dict[str, list[RoomId]])
    except NotFound:
        return {}
