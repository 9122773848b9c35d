"""Conversations with one person: `m.direct` says which they are, and is kept up to date.

Source: client-server API, module "Direct messaging".
"""

from tidings.client import rooms
from tidings.client.errors import NotFound, not_found
from tidings.client.http import Http, v3
from tidings.client.room_list import load_rooms
from tidings.client.state import Room, content_of
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId

_Direct = dict[str, list[RoomId]]


async def get(http: Http, user_id: str) -> RoomId:
    """The latest conversation with somebody in which both still are; raises NotFound."""
    if found := await _find_noted(http, user_id) or _find_pair(await load_rooms(http), user_id):
        return found
    raise not_found(f"you have no conversation with {user_id}")


async def get_or_enter(http: Http, user_id: str) -> RoomId:
    """The same; failing that, one they invited us to, or a new one."""
    if noted := await _find_noted(http, user_id):
        return noted
    known = await load_rooms(http)
    if pair := _find_pair(known, user_id):
        return pair
    invited = _find_invitation(known, http.user_id, user_id)
    room_id = await rooms.join(http, invited) if invited else await _create(http, user_id)
    await _note(http, user_id, room_id)
    return room_id


async def _find_noted(http: Http, user_id: str) -> RoomId | None:
    noted = (await _load_direct(http)).get(user_id, [])
    joined = set(await rooms.load_joined(http)) if noted else set()
    for room_id in reversed(noted):
        if room_id in joined and await _is_present(http, room_id, user_id):
            return room_id
    return None


async def _is_present(http: Http, room_id: RoomId, user_id: str) -> bool:
    try:
        return await rooms.load_membership(http, room_id, user_id) in {"join", "invite"}
    except NotFound:
        return False


def _find_pair(known: dict[str, Room], user_id: str) -> RoomId | None:
    """A room of just the two of us that was never given a name.

    It is a conversation whoever began it, also where nobody noted it down in `m.direct`.
    """
    for room_id, room in known.items():
        is_named = ("m.room.name", "") in room.state or ("m.room.canonical_alias", "") in room.state
        people = room.summary.get("m.heroes"), room.summary.get("m.joined_member_count")
        if room.membership == "join" and not is_named and people == ([user_id], 2):
            return RoomId(room_id)
    return None


def _find_invitation(known: dict[str, Room], own_user_id: str, user_id: str) -> RoomId | None:
    for room_id, room in known.items():
        invitation = room.state.get(("m.room.member", own_user_id), {})
        is_direct = content_of(invitation).get("is_direct") is True
        if room.membership == "invite" and is_direct and invitation.get("sender") == user_id:
            return RoomId(room_id)
    return None


async def _create(http: Http, user_id: str) -> RoomId:
    await http.get(v3("profile", user_id), JsonObject)  # raises NotFound for nobody
    room = rooms.CreateRoom(preset="trusted_private_chat", invite=[user_id], is_direct=True)
    return await rooms.create(http, room)


async def _note(http: Http, user_id: str, room_id: RoomId) -> None:
    direct = await _load_direct(http)
    direct[user_id] = [*direct.get(user_id, []), room_id]
    await http.put(_direct_path(http), direct, JsonObject)


async def _load_direct(http: Http) -> _Direct:
    try:
        return await http.get(_direct_path(http), _Direct)
    except NotFound:
        return {}


def _direct_path(http: Http) -> str:
    return v3("user", http.user_id, "account_data", "m.direct")
