"""Paths below /user/{user_id} belong to that user alone."""

from tidings.protocol.errors import Forbidden
from tidings.protocol.ids import UserId
from tidings.server.http.request import Request


def check_own(request: Request) -> UserId:
    """The user in the path, who must be the one asking; raises Forbidden."""
    user_id = request.requester.user_id
    if request.params["user_id"] != user_id:
        raise Forbidden("You may do this only for yourself")
    return user_id
