"""OpenID: proving to another service who one is."""

from tidings.server.api.own import check_own
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.openid import LIFETIME_MS, OpenId

USERINFO = "/_matrix/federation/v1/openid/userinfo"
"""The one path of the server-server API: it is what the other service asks."""


def routes(openid: OpenId, server_name: str) -> list[Route]:
    """Getting a token, and telling whose it is."""

    async def request_token(request: Request) -> Response:
        user_id = check_own(request)
        request.json_object()
        answer = {
            "access_token": await openid.issue(user_id),
            "token_type": "Bearer",
            "matrix_server_name": server_name,
            "expires_in": LIFETIME_MS // 1000,
        }
        return json_response(answer)

    async def userinfo(request: Request) -> Response:
        token = request.query_needed("access_token")
        return json_response({"sub": await openid.owner_of(token)})

    path = f"{V3}/user/{{user_id}}/openid/request_token"
    return [
        Route("POST", path, request_token, limit="send"),
        Route("GET", USERINFO, userinfo, auth="none"),
    ]
