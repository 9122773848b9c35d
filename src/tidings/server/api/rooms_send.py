"""Sending events and redacting them."""

import msgspec

from tidings.protocol.errors import Forbidden, UserSuspended
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import EventId, RoomId, parse_event_id
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.live.rooms import MEMBER
from tidings.server.services.timeline import (
    SendEvent,
    Timeline,
    Transaction,
    check_transaction_id,
)

REDACTION = "m.room.redaction"


def routes(timeline: Timeline) -> list[Route]:
    """Message events."""

    async def send(request: Request) -> Response:
        params, content = request.params, request.json_object()
        event_type = params["type"]
        if event_type == REDACTION:
            return await _redact(request, content, content.get("redacts"))
        if request.requester.is_suspended:
            raise UserSuspended("You may not send anything while your account is suspended")
        if event_type == MEMBER:
            raise Forbidden("Membership is state: it is set for a user, by PUT …/state/")
        draft = Draft(RoomId(params["room_id"]), event_type, request.requester.user_id, content)
        return event_id_response(await timeline.send(SendEvent(draft, _transaction(request))))

    async def redact(request: Request) -> Response:
        return await _redact(request, request.json_object(), request.params["event_id"])

    async def _redact(request: Request, content: JsonObject, target: object) -> Response:
        room_id, sender = RoomId(request.params["room_id"]), request.requester.user_id
        draft = Draft(room_id, REDACTION, sender, content, redacts=parse_event_id(target))
        own_only = request.requester.is_suspended
        command = SendEvent(draft, _transaction(request), own_only=own_only)
        return event_id_response(await timeline.redact(command))

    room = f"{V3}/rooms/{{room_id}}"
    return [
        Route("PUT", f"{room}/send/{{type}}/{{txn_id}}", send, auth="guest", limit="send"),
        Route("PUT", f"{room}/redact/{{event_id}}/{{txn_id}}", redact, limit="send"),
    ]


def event_id_response(event_id: EventId) -> Response:
    """The answer to whatever made one event."""
    return Response(b'{"event_id":%b}' % msgspec.json.encode(event_id))


def _transaction(request: Request) -> Transaction:
    return Transaction(request.requester.device_id, check_transaction_id(request.params["txn_id"]))
