"""What the client-server API gives administrators of a server."""

from functools import partial

import msgspec

from tidings.protocol.ids import parse_user_id
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.moderation import Moderation, Restrict
from tidings.server.storage.accounts import Restriction
from tidings.server.storage.devices import DeviceRow

V1 = "/_matrix/client/v1"


class _LockBody(msgspec.Struct):
    locked: bool


class _SuspendBody(msgspec.Struct):
    suspended: bool


def routes(moderation: Moderation) -> list[Route]:
    """Looking at accounts, locking and suspending them."""

    async def whois(request: Request) -> Response:
        target = parse_user_id(request.params["user_id"])
        devices = await moderation.devices_of(request.requester, target)
        shown = {device.device_id: _shown(device) for device in devices}
        return json_response({"user_id": target, "devices": shown})

    async def get(kind: Restriction, request: Request) -> Response:
        target = parse_user_id(request.params["user_id"])
        is_on = await moderation.is_restricted(request.requester, target, kind)
        return json_response({kind: is_on})

    async def lock(request: Request) -> Response:
        return await _put(request, "locked", is_on=request.json(_LockBody).locked)

    async def suspend(request: Request) -> Response:
        return await _put(request, "suspended", is_on=request.json(_SuspendBody).suspended)

    async def _put(request: Request, kind: Restriction, *, is_on: bool) -> Response:
        target = parse_user_id(request.params["user_id"])
        await moderation.restrict(Restrict(request.requester, target, kind, is_on))
        return json_response({kind: is_on})

    return [
        Route("GET", f"{V3}/admin/whois/{{user_id}}", whois),
        Route("GET", f"{V1}/admin/lock/{{user_id}}", partial(get, "locked")),
        Route("PUT", f"{V1}/admin/lock/{{user_id}}", lock),
        Route("GET", f"{V1}/admin/suspend/{{user_id}}", partial(get, "suspended")),
        Route("PUT", f"{V1}/admin/suspend/{{user_id}}", suspend),
    ]


def _shown(device: DeviceRow) -> dict[str, object]:
    """What is not known is left out."""
    known = {"ip": device.last_seen_ip, "last_seen": device.last_seen_ts}
    connection = {name: value for name, value in known.items() if value is not None}
    return {"sessions": [{"connections": [connection] if connection else []}]}
