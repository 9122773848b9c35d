"""GET and PUT account data, global and for rooms. Source: client-server API, "Client Config"."""

from tidings.protocol.errors import InvalidParam, NotJson
from tidings.protocol.ids import RoomId
from tidings.server.api.own import check_own
from tidings.server.http.request import EMPTY, Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.services.account_data import GLOBAL, AccountData


def routes(account_data: AccountData) -> list[Route]:
    """What clients keep for their user."""

    async def set_account_data(request: Request) -> Response:
        user_id, content = check_own(request), request.json_object()
        if not request.body:  # which elsewhere stands for {}, but here would erase what is kept
            raise NotJson("The content must be a JSON object")
        await account_data.set(user_id, _room_of(request), request.params["type"], content)
        return EMPTY

    async def get_account_data(request: Request) -> Response:
        user_id = check_own(request)
        content = await account_data.get(user_id, _room_of(request), request.params["type"])
        return Response(content)

    of_user = f"{V3}/user/{{user_id}}/account_data/{{type}}"
    of_room = f"{V3}/user/{{user_id}}/rooms/{{room_id}}/account_data/{{type}}"
    return [
        Route("PUT", of_user, set_account_data),
        Route("GET", of_user, get_account_data),
        Route("PUT", of_room, set_account_data),
        Route("GET", of_room, get_account_data),
    ]


def _room_of(request: Request) -> RoomId:
    room_id = request.params.get("room_id")
    if room_id is None:
        return GLOBAL
    if not room_id:
        raise InvalidParam("The room id is empty")
    return RoomId(room_id)
