"""What the client-server API defines and this server does not do: answered with the spec's code.

A client is told at once, in words; an unknown path would tell it that the server is too old.
The reasons stand in docs/reference/api-coverage.md.
"""

from tidings.protocol.errors import MatrixError, NotFound, ThreepidDenied, Unrecognized
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import V3, Endpoint, Route

V1 = "/_matrix/client/v1"


def routes() -> list[Route]:
    """Third-party identifiers, single sign-on, old ways of syncing."""
    return [*_threepid_routes(), *_sign_on_routes(), *_old_sync_routes()]


def _threepid_routes() -> list[Route]:
    denied = _refusal(ThreepidDenied("Accounts have no e-mail addresses or telephone numbers here"))
    absent = _refusal(NotFound("The account has no such third-party identifier"))
    threepid = f"{V3}/account/3pid"
    return [
        *(
            Route("POST", f"{V3}/{path}/requestToken", denied, auth="none", limit="login")
            for path in (
                "register/email", "register/msisdn", "account/password/email",
                "account/password/msisdn", "account/3pid/email", "account/3pid/msisdn",
            )
        ),
        Route("POST", threepid, denied),
        Route("POST", f"{threepid}/add", denied),
        Route("POST", f"{threepid}/bind", denied),
        Route("POST", f"{threepid}/delete", absent),
        Route("POST", f"{threepid}/unbind", absent),
    ]  # fmt: skip


def _sign_on_routes() -> list[Route]:
    no_sign_on = _refusal(NotFound("This server has no single sign-on"))
    return [
        Route("GET", f"{V3}/login/sso/redirect", no_sign_on, auth="none"),
        Route("GET", f"{V3}/login/sso/redirect/{{idp_id}}", no_sign_on, auth="none"),
        Route(
            "GET",
            f"{V1}/auth_metadata",
            _refusal(Unrecognized("This server does not speak the OAuth 2.0 API")),
            auth="none",
        ),
        Route(
            "GET",
            "/.well-known/matrix/policy_server",
            _refusal(NotFound("This is not a policy server")),
            auth="none",
        ),
    ]


def _old_sync_routes() -> list[Route]:
    old = _refusal(Unrecognized("This way of syncing is deprecated: use /sync"))
    return [
        Route("GET", f"{V3}/events", old, auth="guest"),
        Route("GET", f"{V3}/events/{{event_id}}", old, auth="guest"),
        Route("GET", f"{V3}/initialSync", old, auth="guest"),
    ]


def _refusal(error: MatrixError) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        raise type(error)(error.message)

    return endpoint
