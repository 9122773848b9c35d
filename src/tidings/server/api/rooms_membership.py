"""Joining, inviting, leaving, removing: the membership endpoints."""

from collections.abc import Awaitable, Callable

import msgspec

from tidings.protocol.errors import MissingParam, ThreepidDenied
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, UserId, parse_user_id
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Endpoint, Route
from tidings.server.services.directory import Directory
from tidings.server.services.membership import ChangeMembership, Membership


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Whom(msgspec.Struct):
    user_id: str | None = None
    reason: str | None = None
    medium: str | None = None


def routes(membership: Membership, directory: Directory) -> list[Route]:
    """Who is in a room."""

    async def join(request: Request) -> Response:
        command = _own(request, RoomId(request.params["room_id"]))
        await membership.join(command)
        return json_response({"room_id": command.room_id})

    async def join_by_alias(request: Request) -> Response:
        room_id = await directory.resolve(request.params["room"])
        await membership.join(_own(request, room_id))
        return json_response({"room_id": room_id})

    async def knock(request: Request) -> Response:
        room_id = await directory.resolve(request.params["room"])
        await membership.knock(_own(request, room_id))
        return json_response({"room_id": room_id})

    async def leave(request: Request) -> Response:
        await membership.leave(_own(request, RoomId(request.params["room_id"])))
        return EMPTY

    async def forget(request: Request) -> Response:
        await membership.forget(request.requester.user_id, RoomId(request.params["room_id"]))
        return EMPTY

    async def joined_rooms(request: Request) -> Response:
        rooms = await membership.joined_rooms(request.requester.user_id)
        return json_response({"joined_rooms": rooms})

    room = f"{V3}/rooms/{{room_id}}"
    return [
        Route("POST", f"{room}/join", join, auth="guest", limit="send", active=True),
        Route(
            "POST", f"{V3}/join/{{room}}", join_by_alias, auth="guest", limit="send", active=True
        ),
        Route("POST", f"{V3}/knock/{{room}}", knock, limit="send", active=True),
        Route("POST", f"{room}/leave", leave, auth="guest", limit="send"),
        Route("POST", f"{room}/forget", forget, auth="guest"),
        Route("GET", f"{V3}/joined_rooms", joined_rooms, auth="guest"),
        Route("POST", f"{room}/invite", _to_other(membership.invite), limit="send", active=True),
        Route("POST", f"{room}/kick", _to_other(membership.kick), limit="send", active=True),
        Route("POST", f"{room}/ban", _to_other(membership.ban), limit="send", active=True),
        Route("POST", f"{room}/unban", _to_other(membership.unban), limit="send", active=True),
    ]


def _own(request: Request, room_id: RoomId) -> ChangeMembership:
    who = request.requester
    content = _content(request.json(_Reason).reason)
    return ChangeMembership(room_id, who.user_id, who.user_id, content, who.is_guest)


def _to_other(change: Callable[[ChangeMembership], Awaitable[object]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        body = request.json(_Whom)
        target, room_id = _target(body), RoomId(request.params["room_id"])
        content = _content(body.reason)
        await change(ChangeMembership(room_id, request.requester.user_id, target, content))
        return EMPTY

    return endpoint


def _target(body: _Whom) -> UserId:
    if body.medium is not None:
        raise ThreepidDenied("This server does not send invitations by e-mail or telephone")
    if body.user_id is None:
        raise MissingParam("user_id is missing")
    return parse_user_id(body.user_id)


def _content(reason: str | None) -> JsonObject:
    return {} if reason is None else {"reason": reason}
