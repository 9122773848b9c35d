"""Cross-signing keys and signatures. Source: client-server API, "Cross-signing"."""

from functools import partial

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.cross_signing import (
    MASTER,
    SELF_SIGNING,
    USER_SIGNING,
    CrossSigning,
)
from tidings.server.services.user_interactive import Auth, UserInteractive, password_challenge


class UploadBody(msgspec.Struct, frozen=True):
    """The body of POST /keys/device_signing/upload."""

    master_key: JsonObject | None = None
    self_signing_key: JsonObject | None = None
    user_signing_key: JsonObject | None = None
    auth: Auth | None = None

    @property
    def keys(self) -> dict[str, JsonObject]:
        """The keys by usage; the master key comes first."""
        given = {
            MASTER: self.master_key,
            SELF_SIGNING: self.self_signing_key,
            USER_SIGNING: self.user_signing_key,
        }
        return {usage: key for usage, key in given.items() if key is not None}


def routes(cross_signing: CrossSigning, user_interactive: UserInteractive) -> list[Route]:
    """The endpoints of cross-signing."""
    keys = f"{V3}/keys"
    upload = partial(upload_keys, cross_signing, user_interactive)
    return [
        Route("POST", f"{keys}/device_signing/upload", upload),
        Route("POST", f"{keys}/signatures/upload", partial(upload_signatures, cross_signing)),
    ]


async def upload_keys(
    cross_signing: CrossSigning, user_interactive: UserInteractive, request: Request
) -> Response:
    """POST /keys/device_signing/upload. Only who replaces keys must prove who they are."""
    body, user_id = request.json(UploadBody), request.requester.user_id
    keys = body.keys
    is_replacing = await cross_signing.is_replacing(user_id, keys)
    if is_replacing:
        challenge = password_challenge("cross_signing", user_id, dict(keys))
        await user_interactive.check(challenge, body.auth)
    await cross_signing.upload(user_id, keys, may_replace=is_replacing)
    return EMPTY


async def upload_signatures(cross_signing: CrossSigning, request: Request) -> Response:
    """POST /keys/signatures/upload."""
    body = request.json(dict[ShortText, dict[ShortText, JsonObject]])
    signed = {UserId(user_id): keys for user_id, keys in body.items()}
    failures = await cross_signing.sign(request.requester.user_id, signed)
    return json_response({"failures": failures})
