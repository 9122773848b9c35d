"""Being in a room, as the condition for telling it anything."""

from tidings.protocol.errors import Forbidden
from tidings.protocol.ids import RoomId, UserId
from tidings.server.live.rooms import PendingRoom, Rooms
from tidings.server.services.timeline import NOT_A_MEMBER
from tidings.server.storage.database import WriteTx


async def load_joined(rooms: Rooms, tx: WriteTx, room_id: RoomId, user_id: UserId) -> PendingRoom:
    """The room for a recipe of a member; others cannot tell whether there is such a room."""
    room = await rooms.for_update(tx, room_id)
    if room is None or room.membership(user_id) != "join":
        raise Forbidden(NOT_A_MEMBER)
    return room
