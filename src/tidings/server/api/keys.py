"""The keys of devices. Source: client-server API, "Key management"."""

from functools import partial
from typing import TypeAlias

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId
from tidings.protocol.tokens import parse_token
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.device_keys import DeviceKeyring, KeyUpload
from tidings.server.services.device_lists import DeviceListReader

NamedKeys: TypeAlias = dict[ShortText, str | JsonObject]


class UploadBody(msgspec.Struct, frozen=True):
    """The body of POST /keys/upload."""

    device_keys: JsonObject | None = None
    one_time_keys: NamedKeys | None = None
    fallback_keys: NamedKeys | None = None


class QueryBody(msgspec.Struct, frozen=True):
    """The body of POST /keys/query."""

    device_keys: dict[ShortText, list[ShortText]]
    timeout: int = 0


class ClaimBody(msgspec.Struct, frozen=True):
    """The body of POST /keys/claim."""

    one_time_keys: dict[ShortText, dict[ShortText, ShortText]]
    timeout: int = 0


def routes(keyring: DeviceKeyring, device_lists: DeviceListReader) -> list[Route]:
    """The endpoints of device keys."""
    keys = f"{V3}/keys"
    return [
        Route("POST", f"{keys}/upload", partial(upload_keys, keyring), auth="guest"),
        Route("POST", f"{keys}/query", partial(query_keys, keyring), auth="guest"),
        Route("POST", f"{keys}/claim", partial(claim_keys, keyring), auth="guest"),
        Route("GET", f"{keys}/changes", partial(get_changes, device_lists)),
    ]


async def upload_keys(keyring: DeviceKeyring, request: Request) -> Response:
    """POST /keys/upload."""
    body, who = request.json(UploadBody), request.requester
    upload = KeyUpload(body.device_keys, body.one_time_keys or {}, body.fallback_keys or {})
    counts = await keyring.upload((who.user_id, who.device_id), upload)
    return json_response({"one_time_key_counts": counts})


async def query_keys(keyring: DeviceKeyring, request: Request) -> Response:
    """POST /keys/query."""
    wanted = {
        UserId(user_id): [DeviceId(device_id) for device_id in devices]
        for user_id, devices in request.json(QueryBody).device_keys.items()
    }
    return json_response(await keyring.query(request.requester.user_id, wanted))


async def claim_keys(keyring: DeviceKeyring, request: Request) -> Response:
    """POST /keys/claim."""
    wanted = {
        UserId(user_id): {DeviceId(device_id): key for device_id, key in devices.items()}
        for user_id, devices in request.json(ClaimBody).one_time_keys.items()
    }
    return json_response(await keyring.claim(wanted))


async def get_changes(device_lists: DeviceListReader, request: Request) -> Response:
    """GET /keys/changes. `to` is only a hint: what is newer is told as well."""
    after = parse_token(request.query_needed("from"))
    parse_token(request.query_needed("to"))
    found = await device_lists.since(request.requester.user_id, after)
    return json_response({"changed": found.changed, "left": found.left})
