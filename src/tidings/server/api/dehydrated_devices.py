"""Dehydrated devices, unstable. Source: MSC3814."""

from functools import partial
from typing import Annotated

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId
from tidings.server.api.bodies import ShortText
from tidings.server.api.keys import NamedKeys
from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import Route
from tidings.server.services.dehydrated_devices import DehydratedDevices, NewDehydratedDevice
from tidings.server.services.device_keys import KeyUpload

PATH = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"


class PutBody(msgspec.Struct, frozen=True):
    """The body of PUT /dehydrated_device."""

    device_id: Annotated[ShortText, msgspec.Meta(min_length=1)]
    device_data: JsonObject
    device_keys: JsonObject
    initial_device_display_name: ShortText | None = None
    one_time_keys: NamedKeys = {}
    fallback_keys: NamedKeys = {}


class EventsBody(msgspec.Struct, frozen=True):
    """The body of POST /dehydrated_device/{device_id}/events."""

    next_batch: str | None = None


def routes(dehydrated: DehydratedDevices) -> list[Route]:
    """The endpoints of dehydrated devices."""
    return [
        Route("PUT", PATH, partial(put_device, dehydrated)),
        Route("GET", PATH, partial(get_device, dehydrated)),
        Route("DELETE", PATH, partial(delete_device, dehydrated)),
        Route("POST", f"{PATH}/{{device_id}}/events", partial(get_events, dehydrated)),
    ]


async def put_device(dehydrated: DehydratedDevices, request: Request) -> Response:
    """PUT /dehydrated_device."""
    body = request.json(PutBody)
    keys = KeyUpload(body.device_keys, body.one_time_keys, body.fallback_keys)
    new = NewDehydratedDevice(
        DeviceId(body.device_id), body.device_data, body.initial_device_display_name, keys
    )
    await dehydrated.put(request.requester.user_id, new)
    return json_response({"device_id": body.device_id})


async def get_device(dehydrated: DehydratedDevices, request: Request) -> Response:
    """GET /dehydrated_device."""
    held = await dehydrated.get(request.requester.user_id)
    return json_response({"device_id": held.device_id, "device_data": msgspec.Raw(held.data)})


async def delete_device(dehydrated: DehydratedDevices, request: Request) -> Response:
    """DELETE /dehydrated_device."""
    return json_response({"device_id": await dehydrated.delete(request.requester.user_id)})


async def get_events(dehydrated: DehydratedDevices, request: Request) -> Response:
    """POST /dehydrated_device/{device_id}/events."""
    body, user_id = request.json(EventsBody), request.requester.user_id
    events, token = await dehydrated.events(user_id, request.params["device_id"], body.next_batch)
    shown = [msgspec.Raw(event) for event in events]
    return json_response({"events": shown, "next_batch": token})
