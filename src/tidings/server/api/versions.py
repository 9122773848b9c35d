"""What this server speaks and can do."""

from tidings.protocol.room_versions import ROOM_VERSIONS
from tidings.server.config import Config
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route

VERSIONS = ["r0.5.0", "r0.6.0", "r0.6.1", *(f"v1.{minor}" for minor in range(1, 20))]
UNSTABLE_FEATURES = {"chat.tidings.sync_socket": True, "chat.tidings.uploads": True}


def routes(config: Config) -> list[Route]:
    """Discovery."""
    spoken = json_response({"versions": VERSIONS, "unstable_features": UNSTABLE_FEATURES})
    able = json_response({"capabilities": _capabilities(config)})

    async def versions(_: Request) -> Response:
        return spoken

    async def capabilities(_: Request) -> Response:
        return able

    async def well_known(request: Request) -> Response:
        # Behind a proxy the public address cannot be guessed: it is a setting.
        host = request.header(b"host") or f"{config.host}:{config.port}"
        return json_response({"m.homeserver": {"base_url": config.public_url or f"http://{host}"}})

    return [
        Route("GET", "/_matrix/client/versions", versions, auth="none", limit="unlimited"),
        Route("GET", "/.well-known/matrix/client", well_known, auth="none"),
        Route("GET", f"{V3}/capabilities", capabilities, auth="guest"),
    ]


def _capabilities(config: Config) -> dict[str, object]:
    return {
        "m.change_password": {"enabled": True},
        "m.room_versions": {
            "default": config.default_room_version,
            "available": {
                version.id: "stable" if version.is_stable else "unstable"
                for version in ROOM_VERSIONS.values()
            },
        },
        "m.set_displayname": {"enabled": True},
        "m.set_avatar_url": {"enabled": True},
        "m.profile_fields": {"enabled": True},
        "m.get_login_token": {"enabled": True},
        "m.3pid_changes": {"enabled": False},
    }
