"""One's own pushers. Source: client-server API, "Push Notifications"."""

from functools import partial
from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from tidings.protocol.errors import InvalidParam, MissingParam
from tidings.protocol.events import JsonObject
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.pushers import NewPusher, Pushers
from tidings.server.storage.pushers import Pusher

PUSHKEY_BYTES_MAX = 512
APP_ID_MAX = 64
_NEEDED = ("app_display_name", "device_display_name", "lang", "data")

Text: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*\Z")]


class SetBody(msgspec.Struct, frozen=True):
    """The body of POST /pushers/set; what a deletion does not need may be absent."""

    app_id: Text | None = None
    pushkey: Text | None = None
    kind: ShortText | UnsetType | None = UNSET
    app_display_name: ShortText | None = None
    device_display_name: ShortText | None = None
    profile_tag: ShortText | None = None
    lang: ShortText | None = None
    data: JsonObject | None = None
    append: bool = False


class ShownPusher(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pusher as its owner is shown it."""

    pushkey: str
    kind: str
    app_id: str
    app_display_name: str
    device_display_name: str
    lang: str
    data: msgspec.Raw
    profile_tag: str | None = None


def routes(pushers: Pushers) -> list[Route]:
    """The endpoints of one's own pushers."""
    return [
        Route("GET", f"{V3}/pushers", partial(list_pushers, pushers)),
        Route("POST", f"{V3}/pushers/set", partial(set_pusher, pushers)),
    ]


async def list_pushers(pushers: Pushers, request: Request) -> Response:
    """GET /pushers."""
    own = await pushers.of(request.requester.user_id)
    return json_response({"pushers": [_shown(pusher) for pusher in own]})


async def set_pusher(pushers: Pushers, request: Request) -> Response:
    """POST /pushers/set."""
    body, requester = request.json(SetBody), request.requester
    app_id, pushkey = _key(body)
    if body.kind is UNSET:
        raise MissingParam("Missing parameters: kind")
    if body.kind is None:
        await pushers.end(requester.user_id, app_id, pushkey)
        return EMPTY
    missing = [name for name in _NEEDED if getattr(body, name) is None]
    if missing:
        raise MissingParam(f"Missing parameters: {', '.join(missing)}")
    new = NewPusher(
        requester.user_id, requester.device_id, app_id, pushkey, body.kind,
        body.app_display_name or "", body.device_display_name or "", body.profile_tag,
        body.lang or "", body.data or {}, body.append,
    )  # fmt: skip
    await pushers.set(new)
    return EMPTY


def _key(body: SetBody) -> tuple[str, str]:
    if body.app_id is None or body.pushkey is None:
        raise MissingParam("A pusher is named by its app_id and its pushkey")
    if not 0 < len(body.app_id) <= APP_ID_MAX:
        raise InvalidParam(f"An app_id must have between 1 and {APP_ID_MAX} characters")
    if not 0 < len(body.pushkey.encode()) <= PUSHKEY_BYTES_MAX:
        raise InvalidParam(f"A pushkey must have between 1 and {PUSHKEY_BYTES_MAX} bytes")
    return body.app_id, body.pushkey


def _shown(pusher: Pusher) -> ShownPusher:
    return ShownPusher(
        pusher.pushkey, pusher.kind, pusher.app_id, pusher.app_display_name,
        pusher.device_display_name, pusher.lang, msgspec.Raw(pusher.data), pusher.profile_tag,
    )  # fmt: skip
