"""PUT typing. Source: client-server API, "Typing Notifications"."""

import msgspec

from tidings.protocol.ids import RoomId
from tidings.server.api.own import check_own
from tidings.server.http.request import EMPTY, Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.services.typing import TIMEOUT_MS_DEFAULT, TypingNotifications


class _Typing(msgspec.Struct):
    typing: bool
    timeout: int | None = None


def routes(notifications: TypingNotifications) -> list[Route]:
    """Who is typing."""

    async def set_typing(request: Request) -> Response:
        user_id, room_id = check_own(request), RoomId(request.params["room_id"])
        body = request.json(_Typing)
        if body.typing:
            timeout = TIMEOUT_MS_DEFAULT if body.timeout is None else body.timeout
            await notifications.start(room_id, user_id, timeout)
        else:
            await notifications.stop(room_id, user_id)
        return EMPTY

    return [Route("PUT", f"{V3}/rooms/{{room_id}}/typing/{{user_id}}", set_typing)]
