"""POST receipts and read markers. Source: client-server API, "Receipts"."""

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.ids import EventId, RoomId
from tidings.server.http.request import EMPTY, Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.services.account_data import FULLY_READ
from tidings.server.services.receipts import RECEIPT_TYPES, ReadUpTo, Receipts
from tidings.server.storage.people import WHOLE_ROOM


class _ReadMarkers(msgspec.Struct):
    fully_read: EventId | None = msgspec.field(default=None, name="m.fully_read")
    read: EventId | None = msgspec.field(default=None, name="m.read")
    read_private: EventId | None = msgspec.field(default=None, name="m.read.private")


def routes(receipts: Receipts) -> list[Route]:
    """How far somebody has read."""

    async def send_receipt(request: Request) -> Response:
        params, user_id = request.params, request.requester.user_id
        receipt_type = params["receipt_type"]
        if receipt_type not in RECEIPT_TYPES:
            raise InvalidParam(f"The types of receipts are {', '.join(RECEIPT_TYPES)}")
        thread_id = _thread_of(request, receipt_type)
        read = ReadUpTo(EventId(params["event_id"]), receipt_type, thread_id)
        await receipts.move(RoomId(params["room_id"]), user_id, [read])
        return EMPTY

    async def set_read_markers(request: Request) -> Response:
        body = request.json(_ReadMarkers)
        named = zip(RECEIPT_TYPES, (body.read, body.read_private, body.fully_read), strict=True)
        read = [ReadUpTo(event_id, type_) for type_, event_id in named if event_id is not None]
        room_id = RoomId(request.params["room_id"])
        await receipts.move(room_id, request.requester.user_id, read)
        return EMPTY

    room = f"{V3}/rooms/{{room_id}}"
    return [
        Route("POST", f"{room}/receipt/{{receipt_type}}/{{event_id}}", send_receipt),
        Route("POST", f"{room}/read_markers", set_read_markers),
    ]


def _thread_of(request: Request, receipt_type: str) -> str:
    body = request.json_object()
    if "thread_id" not in body:
        return WHOLE_ROOM
    thread_id = body["thread_id"]
    if not isinstance(thread_id, str) or not thread_id:
        raise InvalidParam("thread_id field must be a non-empty string")
    if receipt_type == FULLY_READ:
        raise InvalidParam("m.fully_read is for the whole room and takes no thread_id")
    return thread_id
