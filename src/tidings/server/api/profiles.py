"""Profiles.

Source: client-server API, "Profiles".
"""

from functools import partial

from tidings.protocol.errors import Forbidden, GuestAccessForbidden, MissingParam, NotFound
from tidings.protocol.ids import UserId, is_user_id
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.profiles import NO_SUCH_USER, Profiles


def routes(profiles: Profiles) -> list[Route]:
    """The endpoints of profiles."""
    whole = f"{V3}/profile/{{user_id}}"
    field = f"{V3}/profile/{{user_id}}/{{field}}"
    put, delete = partial(set_field, profiles), partial(delete_field, profiles)
    return [
        Route("GET", whole, partial(get_profile, profiles), auth="none"),
        Route("GET", field, partial(get_field, profiles), auth="none"),
        Route("PUT", field, put, auth="guest", limit="send", active=True),
        Route("DELETE", field, delete, auth="guest", limit="send", active=True),
    ]


async def get_profile(profiles: Profiles, request: Request) -> Response:
    """GET /profile/{userId}."""
    return json_response(await profiles.get(_user_of(request)))


async def get_field(profiles: Profiles, request: Request) -> Response:
    """GET /profile/{userId}/{keyName}."""
    field = request.params["field"]
    return json_response({field: await profiles.get_field(_user_of(request), field)})


async def set_field(profiles: Profiles, request: Request) -> Response:
    """PUT /profile/{userId}/{keyName}."""
    user_id, field = _own_field(request)
    body = request.json_object()
    if field not in body:
        raise MissingParam(f"The body must have the property {field}")
    await profiles.set_field(user_id, field, body[field])
    return EMPTY


async def delete_field(profiles: Profiles, request: Request) -> Response:
    """DELETE /profile/{userId}/{keyName}."""
    await profiles.delete_field(*_own_field(request))
    return EMPTY


def _user_of(request: Request) -> UserId:
    user_id = request.params["user_id"]
    if not is_user_id(user_id):
        raise NotFound(NO_SUCH_USER)
    return UserId(user_id)


def _own_field(request: Request) -> tuple[UserId, str]:
    requester, field = request.requester, request.params["field"]
    if request.params["user_id"] != requester.user_id:
        raise Forbidden("You may change only your own profile")
    if requester.is_guest and field != "displayname":
        raise GuestAccessForbidden("Guests may change only their display name")
    return requester.user_id, field
