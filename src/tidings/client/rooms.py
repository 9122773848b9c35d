"""Making rooms, entering and leaving them, and who is in them."""

import msgspec

from tidings.client.http import Http, v3
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, UserId


class CreateRoom(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room to be made; what is left out is the server's choice."""

    name: str | None = None
    topic: str | None = None
    room_alias_name: str | None = None
    preset: str | None = None
    visibility: str | None = None
    invite: list[str] = []
    is_direct: bool = False
    room_version: str | None = None


class Member(msgspec.Struct, frozen=True):
    """Somebody's part in a room."""

    user_id: UserId
    membership: str
    display_name: str


class _RoomAnswer(msgspec.Struct, frozen=True):
    room_id: RoomId


class _MemberContent(msgspec.Struct, frozen=True):
    membership: str
    displayname: str | None = None


class _MemberEvent(msgspec.Struct, frozen=True):
    state_key: UserId
    content: _MemberContent


class _Members(msgspec.Struct, frozen=True):
    chunk: list[_MemberEvent]


class _JoinedRooms(msgspec.Struct, frozen=True):
    joined_rooms: list[RoomId]


async def create(http: Http, room: CreateRoom) -> RoomId:
    """Make a room and be in it."""
    return (await http.post(v3("createRoom"), room, _RoomAnswer)).room_id


async def join(http: Http, room: str) -> RoomId:
    """Enter a room by id or alias; doing it twice is the same as once."""
    return (await http.post(v3("join", room), {}, _RoomAnswer)).room_id


async def leave(http: Http, room_id: RoomId) -> None:
    """Leave a room, or refuse an invitation to it."""
    await http.post(v3("rooms", room_id, "leave"), {}, JsonObject)


async def invite(http: Http, room_id: RoomId, user_id: str) -> None:
    """Invite somebody."""
    await http.post(v3("rooms", room_id, "invite"), {"user_id": user_id}, JsonObject)


async def load_members(http: Http, room_id: RoomId) -> list[Member]:
    """Everybody who has or had to do with the room, by user id."""
    members = await http.get(v3("rooms", room_id, "members"), _Members)
    found = [
        Member(event.state_key, event.content.membership, event.content.displayname or "")
        for event in members.chunk
    ]
    return sorted(found, key=lambda member: member.user_id)


async def load_joined(http: Http) -> list[RoomId]:
    """The rooms we are in."""
    return (await http.get(v3("joined_rooms"), _JoinedRooms)).joined_rooms


async def load_membership(http: Http, room_id: RoomId, user_id: str) -> str:
    """Somebody's membership; raises NotFound if there never was any."""
    path = v3("rooms", room_id, "state", "m.room.member", user_id)
    return (await http.get(path, _MemberContent)).membership


async def get_by_alias(http: Http, alias: str) -> RoomId:
    """The room an alias stands for; raises NotFound."""
    return (await http.get(v3("directory", "room", alias), _RoomAnswer)).room_id
