"""What this server speaks and can do."""

from tidings.protocol.errors import NotFound
from tidings.protocol.room_versions import ROOM_VERSIONS
from tidings.server.config import Config, Support
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route

VERSIONS = ["r0.5.0", "r0.6.0", "r0.6.1", *(f"v1.{minor}" for minor in range(1, 20))]
UNSTABLE_FEATURES = {
    "chat.tidings.sync_socket": True,
    "chat.tidings.uploads": True,
    "org.matrix.simplified_msc3575": True,
}


def routes(config: Config) -> list[Route]:
    """Discovery."""
    spoken = json_response({"versions": VERSIONS, "unstable_features": UNSTABLE_FEATURES})
    capable = _capabilities(config)
    able = json_response({"capabilities": capable})
    moderating = {"m.account_moderation": {"suspend": True, "lock": True}}
    able_to_moderate = json_response({"capabilities": {**capable, **moderating}})
    contacts = _contacts(config.support)

    async def versions(_: Request) -> Response:
        return spoken

    async def capabilities(request: Request) -> Response:
        return able_to_moderate if request.requester.is_admin else able

    async def support(_: Request) -> Response:
        if not contacts:
            raise NotFound("The administrators of this server have left no address")
        return json_response(contacts)

    async def well_known(request: Request) -> Response:
        # Behind a proxy the public address cannot be guessed: it is a setting.
        host = request.header(b"host") or f"{config.host}:{config.port}"
        return json_response({"m.homeserver": {"base_url": config.public_url or f"http://{host}"}})

    return [
        Route("GET", "/_matrix/client/versions", versions, auth="none", limit="unlimited"),
        Route("GET", "/.well-known/matrix/client", well_known, auth="none"),
        Route("GET", "/.well-known/matrix/support", support, auth="none"),
        Route("GET", f"{V3}/capabilities", capabilities, auth="guest"),
    ]


def _contacts(support: Support) -> dict[str, object]:
    contact = {"matrix_id": support.matrix_id, "email_address": support.email}
    known = {name: value for name, value in contact.items() if value}
    found: dict[str, object] = {}
    if known:
        found["contacts"] = [{**known, "role": "m.role.admin"}]
    if support.page:
        found["support_page"] = support.page
    return found


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
