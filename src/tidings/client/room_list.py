"""The rooms we are in or invited to, with just what it takes to name them."""

from tidings.client.http import Http
from tidings.client.state import ClientState, Room, fold
from tidings.client.sync_loop import sync_once
from tidings.protocol.events import JsonObject

NAMES_FILTER: JsonObject = {
    "presence": {"types": []},
    "account_data": {"types": []},
    "room": {
        # COMPAT(Synapse): a room with no event at all to show would be left out.
        "timeline": {"limit": 1},
        "state": {
            "types": ["m.room.name", "m.room.canonical_alias", "m.room.member"],
            "lazy_load_members": True,
        },
        "ephemeral": {"types": []},
        "account_data": {"types": []},
    },
}


async def load_rooms(http: Http) -> dict[str, Room]:
    """One initial sync of as little as possible."""
    state = fold(ClientState(), await sync_once(http, NAMES_FILTER))
    return state.rooms
