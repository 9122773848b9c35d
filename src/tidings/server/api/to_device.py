"""PUT /sendToDevice. Source: client-server API, "Send-to-Device messaging"."""

from functools import partial

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import ID_BYTES_MAX, UserId
from tidings.server.api.bodies import ShortText
from tidings.server.http.request import EMPTY, Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.services.to_device import SendToDevice, ToDevice
from tidings.server.storage.to_device import Transaction


class SendBody(msgspec.Struct, frozen=True):
    """The body of PUT /sendToDevice/{eventType}/{txnId}."""

    messages: dict[ShortText, dict[ShortText, JsonObject]]


def routes(to_device: ToDevice) -> list[Route]:
    """The endpoint."""
    path = f"{V3}/sendToDevice/{{event_type}}/{{txn_id}}"
    return [Route("PUT", path, partial(send_to_device, to_device), auth="guest")]


async def send_to_device(to_device: ToDevice, request: Request) -> Response:
    """PUT /sendToDevice/{eventType}/{txnId}."""
    body, who, params = request.json(SendBody), request.requester, request.params
    event_type, txn_id = params["event_type"], params["txn_id"]
    if not event_type or not txn_id:
        raise InvalidParam("The event type and the transaction id must not be empty")
    if max(len(event_type.encode()), len(txn_id.encode())) > ID_BYTES_MAX:
        raise InvalidParam(f"Types and transaction ids may have at most {ID_BYTES_MAX} bytes")
    messages = {UserId(user_id): each for user_id, each in body.messages.items()}
    txn = Transaction(who.user_id, who.device_id, event_type, txn_id)
    await to_device.send(SendToDevice(txn, messages))
    return EMPTY
