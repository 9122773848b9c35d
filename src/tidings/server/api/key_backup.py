"""Backups of room keys. Source: client-server API, "Server-side key backups"."""

from functools import partial
from typing import Annotated, TypeAlias

import msgspec

from tidings.protocol.canonical_json import INTEGER_MAX, encode_canonical
from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.key_backup import KeyBackup
from tidings.server.storage.key_backup import BackedUpKey, Place

Counter: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]


class VersionBody(msgspec.Struct, frozen=True):
    """The body of POST and PUT /room_keys/version."""

    algorithm: ShortText
    auth_data: JsonObject
    version: str | None = None


class KeyBody(msgspec.Struct, frozen=True):
    """One key."""

    first_message_index: Counter
    forwarded_count: Counter
    is_verified: bool
    session_data: JsonObject

    def key(self, room_id: str, session_id: str) -> BackedUpKey:
        """The key as it is kept."""
        return BackedUpKey(
            RoomId(room_id), session_id, self.first_message_index, self.forwarded_count,
            int(self.is_verified), encode_canonical(self.session_data),
        )  # fmt: skip


class RoomBody(msgspec.Struct, frozen=True):
    """The keys of a room by session."""

    sessions: dict[ShortText, KeyBody]


class RoomsBody(msgspec.Struct, frozen=True):
    """The keys of rooms."""

    rooms: dict[ShortText, RoomBody]


def routes(backup: KeyBackup) -> list[Route]:
    """The endpoints of key backups."""
    version, keys = f"{V3}/room_keys/version", f"{V3}/room_keys/keys"
    found = [
        Route("POST", version, partial(create_version, backup)),
        Route("GET", version, partial(get_version, backup)),
        Route("GET", f"{version}/{{version}}", partial(get_version, backup)),
        Route("PUT", f"{version}/{{version}}", partial(update_version, backup)),
        Route("DELETE", f"{version}/{{version}}", partial(delete_version, backup)),
    ]
    for path in (keys, f"{keys}/{{room_id}}", f"{keys}/{{room_id}}/{{session_id}}"):
        found += [
            Route("PUT", path, partial(put_keys, backup)),
            Route("GET", path, partial(get_keys, backup)),
            Route("DELETE", path, partial(delete_keys, backup)),
        ]
    return found


async def create_version(backup: KeyBackup, request: Request) -> Response:
    """POST /room_keys/version."""
    body, user_id = request.json(VersionBody), request.requester.user_id
    return json_response({"version": await backup.create(user_id, body.algorithm, body.auth_data)})


async def get_version(backup: KeyBackup, request: Request) -> Response:
    """GET /room_keys/version and /room_keys/version/{version}."""
    return json_response(
        await backup.info(request.requester.user_id, request.params.get("version"))
    )


async def update_version(backup: KeyBackup, request: Request) -> Response:
    """PUT /room_keys/version/{version}."""
    body, version = request.json(VersionBody), request.params["version"]
    if body.version not in (None, version):
        raise InvalidParam("The version in the body is not the one in the path")
    await backup.update(request.requester.user_id, version, body.algorithm, body.auth_data)
    return EMPTY


async def delete_version(backup: KeyBackup, request: Request) -> Response:
    """DELETE /room_keys/version/{version}."""
    await backup.delete(request.requester.user_id, request.params["version"])
    return EMPTY


async def put_keys(backup: KeyBackup, request: Request) -> Response:
    """PUT /room_keys/keys, of all rooms, a room or a session."""
    version, user_id = request.query_needed("version"), request.requester.user_id
    keys = {(key.room_id, key.session_id): key for key in _keys_of(request)}
    return json_response(await backup.put_keys(user_id, version, keys))


async def get_keys(backup: KeyBackup, request: Request) -> Response:
    """GET /room_keys/keys, of all rooms, a room or a session."""
    place = await _place(backup, request)
    if place.session_id is not None:
        return Response(await backup.one(place))
    rooms = await backup.rooms(place)
    if place.room_id is None:
        return Response(b'{"rooms":%b}' % rooms)
    # A room's keys stand below its id, which the answer leaves out.
    name = len(msgspec.json.encode(place.room_id)) + 2
    return Response(rooms[name:-1] if len(rooms) > 2 else b'{"sessions":{}}')


async def delete_keys(backup: KeyBackup, request: Request) -> Response:
    """DELETE /room_keys/keys, of all rooms, a room or a session."""
    return json_response(await backup.delete_keys(await _place(backup, request)))


async def _place(backup: KeyBackup, request: Request) -> Place:
    params, version = request.params, request.query_needed("version")
    return await backup.place(
        request.requester.user_id, version, params.get("room_id"), params.get("session_id")
    )


def _keys_of(request: Request) -> list[BackedUpKey]:
    room_id, session_id = request.params.get("room_id"), request.params.get("session_id")
    if room_id is None:
        rooms = request.json(RoomsBody).rooms
    elif session_id is None:
        rooms = {room_id: request.json(RoomBody)}
    else:
        rooms = {room_id: RoomBody({session_id: request.json(KeyBody)})}
    return [
        key.key(room_id, session_id)
        for room_id, room in rooms.items()
        for session_id, key in room.sessions.items()
    ]
