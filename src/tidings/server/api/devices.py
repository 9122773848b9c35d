"""One's own devices.

Source: client-server API, "Device Management".
"""

from functools import partial

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.ids import DeviceId
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.devices import Devices
from tidings.server.services.user_interactive import Auth, UserInteractive, password_challenge
from tidings.server.storage.devices import DeviceRow

AT_ONCE_MAX = 1_000


class RenameBody(msgspec.Struct, frozen=True):
    """The body of PUT /devices/{deviceId}."""

    display_name: ShortText | None = None


class DeleteBody(msgspec.Struct, frozen=True):
    """The body of DELETE /devices/{deviceId}."""

    auth: Auth | None = None


class DeleteManyBody(msgspec.Struct, frozen=True):
    """The body of POST /delete_devices."""

    devices: list[ShortText]
    auth: Auth | None = None


class ShownDevice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device as its owner is shown it; what is not known is absent."""

    device_id: DeviceId
    display_name: str | None = None
    last_seen_ts: int | None = None
    last_seen_ip: str | None = None


def routes(devices: Devices, user_interactive: UserInteractive) -> list[Route]:
    """The endpoints of one's own devices."""
    one = f"{V3}/devices/{{device_id}}"
    delete = partial(delete_device, devices, user_interactive)
    delete_many = partial(delete_devices, devices, user_interactive)
    return [
        Route("GET", f"{V3}/devices", partial(list_devices, devices), auth="guest"),
        Route("GET", one, partial(get_device, devices), auth="guest"),
        Route("PUT", one, partial(rename_device, devices), auth="guest"),
        Route("DELETE", one, delete),
        Route("POST", f"{V3}/delete_devices", delete_many),
    ]


async def list_devices(devices: Devices, request: Request) -> Response:
    """GET /devices."""
    rows = await devices.of(request.requester.user_id)
    return json_response({"devices": [_shown(row) for row in rows]})


async def get_device(devices: Devices, request: Request) -> Response:
    """GET /devices/{deviceId}."""
    device_id = DeviceId(request.params["device_id"])
    return json_response(_shown(await devices.get(request.requester.user_id, device_id)))


async def rename_device(devices: Devices, request: Request) -> Response:
    """PUT /devices/{deviceId}."""
    user_id, device_id = request.requester.user_id, DeviceId(request.params["device_id"])
    body = request.json(RenameBody)
    if body.display_name is None:  # "If not given, the display name is unchanged."
        await devices.get(user_id, device_id)
    else:
        await devices.rename(user_id, device_id, body.display_name)
    return EMPTY


async def delete_device(
    devices: Devices, user_interactive: UserInteractive, request: Request
) -> Response:
    """DELETE /devices/{deviceId}."""
    device_id = DeviceId(request.params["device_id"])
    auth = request.json(DeleteBody).auth
    await _delete(devices, user_interactive, request, [device_id], auth)
    return EMPTY


async def delete_devices(
    devices: Devices, user_interactive: UserInteractive, request: Request
) -> Response:
    """POST /delete_devices."""
    body = request.json(DeleteManyBody)
    device_ids = [DeviceId(device_id) for device_id in body.devices]
    await _delete(devices, user_interactive, request, device_ids, body.auth)
    return EMPTY


async def _delete(
    devices: Devices,
    user_interactive: UserInteractive,
    request: Request,
    device_ids: list[DeviceId],
    auth: Auth | None,
) -> None:
    if len(device_ids) > AT_ONCE_MAX:
        raise InvalidParam(f"At most {AT_ONCE_MAX} devices can be deleted at once")
    user_id = request.requester.user_id
    challenge = password_challenge("delete_devices", user_id, {"devices": device_ids})
    await user_interactive.check(challenge, auth)
    await devices.end(user_id, device_ids)


def _shown(row: DeviceRow) -> ShownDevice:
    return ShownDevice(row.device_id, row.display_name, row.last_seen_ts, row.last_seen_ip)
