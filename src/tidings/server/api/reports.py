"""Reporting what is inappropriate."""

from typing import Annotated

import msgspec

from tidings.protocol.ids import EventId, RoomId, parse_user_id
from tidings.server.http.request import EMPTY, Request, Response
from tidings.server.http.routing import V3, Route
from tidings.server.services.reports import Report, Reports

Reason = Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*\Z")]


class _MaybeReason(msgspec.Struct):
    reason: Reason | None = None


class _NeededReason(msgspec.Struct):
    reason: Reason


def routes(reports: Reports) -> list[Route]:
    """To the administrators of this server."""

    async def report_event(request: Request) -> Response:
        params, reason = request.params, request.json(_MaybeReason).reason or ""
        room_id, event_id = RoomId(params["room_id"]), EventId(params["event_id"])
        who = request.requester.user_id
        await reports.take(Report(who, reason, room_id=room_id, event_id=event_id))
        return EMPTY

    async def report_room(request: Request) -> Response:
        reason, room_id = request.json(_NeededReason).reason, RoomId(request.params["room_id"])
        await reports.take(Report(request.requester.user_id, reason, room_id=room_id))
        return EMPTY

    async def report_user(request: Request) -> Response:
        reason = request.json(_NeededReason).reason
        user_id = parse_user_id(request.params["user_id"])
        await reports.take(Report(request.requester.user_id, reason, user_id=user_id))
        return EMPTY

    room = f"{V3}/rooms/{{room_id}}/report"
    return [
        Route("POST", f"{room}/{{event_id}}", report_event, limit="send"),
        Route("POST", room, report_room, limit="send"),
        Route("POST", f"{V3}/users/{{user_id}}/report", report_user, limit="send"),
    ]
