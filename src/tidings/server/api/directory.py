"""Aliases, and the list of published rooms."""

from typing import Annotated

import msgspec

from tidings.protocol.errors import Forbidden
from tidings.protocol.ids import RoomId, parse_room_alias, parse_room_id
from tidings.rules.public_rooms import Search
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.directory import Directory
from tidings.server.services.room_list import Publish, RoomList

LIMIT_DEFAULT = 100
LIMIT_MAX = 500


class _AliasBody(msgspec.Struct):
    room_id: str


class _VisibilityBody(msgspec.Struct):
    visibility: str = "public"


class _SearchFilter(msgspec.Struct):
    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class _SearchBody(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=0)] | None = None
    since: str | None = None
    filter: _SearchFilter | None = None


def routes(directory: Directory, room_list: RoomList, server_name: str) -> list[Route]:
    """Finding rooms."""

    async def get_alias(request: Request) -> Response:
        room_id = await directory.room_of(parse_room_alias(request.params["alias"]))
        return json_response({"room_id": room_id, "servers": [server_name]})

    async def put_alias(request: Request) -> Response:
        alias = parse_room_alias(request.params["alias"])
        room_id = parse_room_id(request.json(_AliasBody).room_id)
        await directory.add(alias, room_id, request.requester.user_id)
        return EMPTY

    async def delete_alias(request: Request) -> Response:
        alias, who = parse_room_alias(request.params["alias"]), request.requester
        await directory.remove(alias, who.user_id, is_admin=who.is_admin)
        return EMPTY

    async def get_visibility(request: Request) -> Response:
        who = request.maybe_requester
        room_id = RoomId(request.params["room_id"])
        visibility = await room_list.visibility_of(room_id, who.user_id if who else None)
        return json_response({"visibility": visibility})

    async def put_visibility(request: Request) -> Response:
        visibility, who = request.json(_VisibilityBody).visibility, request.requester
        room_id = RoomId(request.params["room_id"])
        await room_list.publish(Publish(room_id, who.user_id, visibility, who.is_admin))
        return EMPTY

    async def get_public_rooms(request: Request) -> Response:
        _check_server(request, server_name)
        limit = request.query_int("limit", LIMIT_DEFAULT, most=LIMIT_MAX)
        return json_response(await room_list.search(Search(), request.query.get("since"), limit))

    async def post_public_rooms(request: Request) -> Response:
        _check_server(request, server_name)
        body = request.json(_SearchBody)
        chosen = body.filter or _SearchFilter()
        types = chosen.room_types
        search = Search(
            (chosen.generic_search_term or "").strip(), None if types is None else frozenset(types)
        )
        limit = LIMIT_DEFAULT if body.limit is None else min(body.limit, LIMIT_MAX)
        return json_response(await room_list.search(search, body.since, limit))

    alias, listed = f"{V3}/directory/room/{{alias}}", f"{V3}/directory/list/room/{{room_id}}"
    return [
        Route("GET", alias, get_alias, auth="none"),
        Route("PUT", alias, put_alias, active=True),
        Route("DELETE", alias, delete_alias),
        Route("GET", listed, get_visibility, auth="maybe"),
        Route("PUT", listed, put_visibility, active=True),
        Route("GET", f"{V3}/publicRooms", get_public_rooms, auth="maybe"),
        Route("POST", f"{V3}/publicRooms", post_public_rooms, auth="guest"),
    ]


def _check_server(request: Request, server_name: str) -> None:
    if request.query.get("server", server_name) != server_name:
        raise Forbidden("This server does not federate: it lists its own rooms only")
