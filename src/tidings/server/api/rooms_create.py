"""POST /createRoom."""

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import parse_user_id
from tidings.rules.rooms import InitialState
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.rooms import CreateRoom, RoomCreator


class _InitialState(msgspec.Struct):
    type: str
    content: JsonObject
    state_key: str = ""


class _CreateBody(msgspec.Struct):
    visibility: str | None = None
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: list[str] | None = None
    invite_3pid: list[JsonObject] | None = None
    room_version: str | None = None
    creation_content: JsonObject | None = None
    initial_state: list[_InitialState] | None = None
    preset: str | None = None
    is_direct: bool | None = None
    power_level_content_override: JsonObject | None = None


def routes(creator: RoomCreator) -> list[Route]:
    """Creating rooms."""

    async def create_room(request: Request) -> Response:
        body = request.json(_CreateBody)
        if body.invite_3pid:
            raise InvalidParam("This server does not send invitations by e-mail or telephone")
        command = CreateRoom(
            creator=request.requester.user_id,
            is_admin=request.requester.is_admin,
            version=body.room_version,
            visibility=body.visibility or "private",
            alias_localpart=body.room_alias_name,
            preset=body.preset,
            name=body.name,
            topic=body.topic,
            invite=tuple(parse_user_id(user_id) for user_id in body.invite or ()),
            is_direct=bool(body.is_direct),
            initial_state=tuple(
                InitialState(state.type, state.content, state.state_key)
                for state in body.initial_state or ()
            ),
            creation_content=body.creation_content or {},
            power_level_content_override=body.power_level_content_override or {},
        )
        return json_response({"room_id": await creator.create(command)})

    return [Route("POST", f"{V3}/createRoom", create_room, limit="send", active=True)]
