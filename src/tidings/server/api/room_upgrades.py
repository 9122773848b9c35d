"""POST /rooms/{roomId}/upgrade."""

import msgspec

from tidings.protocol.ids import RoomId, parse_user_id
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.upgrades import Upgrade, Upgrades

CREATORS_MAX = 100


class _Body(msgspec.Struct):
    new_version: ShortText
    additional_creators: list[str] | None = None


def routes(upgrades: Upgrades) -> list[Route]:
    """Replacing rooms."""

    async def upgrade(request: Request) -> Response:
        body = request.json(_Body)
        named = dict.fromkeys(map(parse_user_id, body.additional_creators or ()))
        named.pop(request.requester.user_id, None)
        command = Upgrade(
            RoomId(request.params["room_id"]),
            request.requester.user_id,
            body.new_version,
            tuple(named)[:CREATORS_MAX],
        )
        return json_response({"replacement_room": await upgrades.upgrade(command)})

    path = f"{V3}/rooms/{{room_id}}/upgrade"
    return [Route("POST", path, upgrade, limit="send", active=True)]
