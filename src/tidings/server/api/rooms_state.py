"""State, members and aliases of a room."""

from collections.abc import Callable

from tidings.protocol.errors import BadJson
from tidings.protocol.events import Draft
from tidings.protocol.ids import RoomId, parse_user_id
from tidings.protocol.tokens import parse_token
from tidings.rules.presentation import View, client_event, json_array
from tidings.server.api.rooms_send import event_id_response
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.live.rooms import MEMBER
from tidings.server.services.directory import Directory
from tidings.server.services.membership import ChangeMembership, Membership
from tidings.server.services.state import StateReader, StateSetter, WhichMembers


def view_of(request: Request, now_ms: int) -> View:
    """How the requester is shown events now."""
    return View(request.requester.user_id, request.requester.device_id, now_ms)


def read_routes(
    reader: StateReader, directory: Directory, now_ms: Callable[[], int]
) -> list[Route]:
    """Reading the state of a room."""

    async def get_all(request: Request) -> Response:
        state = await reader.all(request.requester.user_id, RoomId(request.params["room_id"]))
        view = view_of(request, now_ms())
        return Response(json_array([client_event(event, view) for event in state]))

    async def get_one(request: Request) -> Response:
        params = request.params
        key = (params["type"], params.get("state_key", ""))
        room_id = RoomId(params["room_id"])
        event = await reader.get(request.requester.user_id, room_id, key)
        if request.query.get("format") == "event":
            return Response(client_event(event, view_of(request, now_ms())))
        return json_response(event.content)

    async def members(request: Request) -> Response:
        query = request.query
        which = WhichMembers(
            parse_token(query["at"]) if query.get("at") else None,
            query.get("membership"),
            query.get("not_membership"),
        )
        room_id = RoomId(request.params["room_id"])
        events = await reader.members(request.requester.user_id, room_id, which)
        view = view_of(request, now_ms())
        return Response(b'{"chunk":%b}' % json_array([client_event(e, view) for e in events]))

    async def joined_members(request: Request) -> Response:
        room_id = RoomId(request.params["room_id"])
        contents = await reader.joined(request.requester.user_id, room_id)
        joined = {
            user_id: {
                name: value
                for name, key in (("display_name", "displayname"), ("avatar_url", "avatar_url"))
                if isinstance(value := content.get(key), str)
            }
            for user_id, content in contents.items()
        }
        return json_response({"joined": joined})

    async def aliases(request: Request) -> Response:
        room_id = RoomId(request.params["room_id"])
        names = await directory.aliases_of(request.requester.user_id, room_id)
        return json_response({"aliases": names})

    room = f"{V3}/rooms/{{room_id}}"
    return [
        Route("GET", f"{room}/state", get_all, auth="guest"),
        Route("GET", f"{room}/state/{{type}}", get_one, auth="guest"),
        Route("GET", f"{room}/state/{{type}}/{{state_key}}", get_one, auth="guest"),
        Route("GET", f"{room}/members", members, auth="guest"),
        Route("GET", f"{room}/joined_members", joined_members),
        Route("GET", f"{room}/aliases", aliases),
    ]


def write_routes(setter: StateSetter, membership: Membership) -> list[Route]:
    """Setting the state of a room."""

    async def put(request: Request) -> Response:
        params, content = request.params, request.json_object()
        state_key, sender = params.get("state_key", ""), request.requester.user_id
        if params["type"] == MEMBER:
            return await _put_member(request)
        draft = Draft(RoomId(params["room_id"]), params["type"], sender, content, state_key)
        return event_id_response(await setter.set(draft))

    async def _put_member(request: Request) -> Response:
        params, who = request.params, request.requester
        content = request.json_object()
        value = content.get("membership")
        if not isinstance(value, str):
            raise BadJson("The membership must be join, invite, leave, ban or knock")
        target = parse_user_id(params.get("state_key", ""))
        command = ChangeMembership(
            RoomId(params["room_id"]), who.user_id, target, content, who.is_guest
        )
        return event_id_response(await membership.set(command, value))

    room = f"{V3}/rooms/{{room_id}}"
    return [
        Route("PUT", f"{room}/state/{{type}}", put, auth="guest", limit="send", active=True),
        Route(
            "PUT",
            f"{room}/state/{{type}}/{{state_key}}",
            put,
            auth="guest",
            limit="send",
            active=True,
        ),
    ]
