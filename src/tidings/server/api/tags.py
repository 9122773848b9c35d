"""GET, PUT and DELETE the tags of a room. Source: client-server API, "Room Tagging"."""

from tidings.protocol.ids import RoomId
from tidings.server.api.own import check_own
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.account_data import AccountData


def routes(account_data: AccountData) -> list[Route]:
    """The labels a user gives to rooms."""

    async def get_tags(request: Request) -> Response:
        user_id, room_id = check_own(request), RoomId(request.params["room_id"])
        return json_response({"tags": await account_data.get_tags(user_id, room_id)})

    async def set_tag(request: Request) -> Response:
        user_id, room_id = check_own(request), RoomId(request.params["room_id"])
        await account_data.set_tag(user_id, room_id, request.params["tag"], request.json_object())
        return EMPTY

    async def delete_tag(request: Request) -> Response:
        user_id, room_id = check_own(request), RoomId(request.params["room_id"])
        await account_data.delete_tag(user_id, room_id, request.params["tag"])
        return EMPTY

    tags = f"{V3}/user/{{user_id}}/rooms/{{room_id}}/tags"
    return [
        Route("GET", tags, get_tags),
        Route("PUT", f"{tags}/{{tag}}", set_tag),
        Route("DELETE", f"{tags}/{{tag}}", delete_tag),
    ]
