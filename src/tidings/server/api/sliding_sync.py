"""POST sync: sliding sync, at the path of its unstable implementation.

What MSC4186 has renamed since is understood under both names. Source: MSC4186,
"Request Body" and "Unstable prefix".
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from tidings.protocol.errors import BadJson, InvalidParam
from tidings.protocol.filters import SYNC_LIMIT_MAX
from tidings.protocol.ids import ID_BYTES_MAX, RoomId, UserId
from tidings.rules.required_state import RequiredState, parse
from tidings.rules.sliding_lists import List, RoomConfig, RoomFilter
from tidings.server.api.sync import SyncReader
from tidings.server.http.request import Request, Response
from tidings.server.http.routing import Route
from tidings.server.services.sliding_extensions import EXTENSIONS
from tidings.server.services.sliding_plan import ExtensionRequest, SlidingSyncRequest
from tidings.server.services.sliding_sync import SlidingSync

PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
LISTS_MAX = 100
SUBSCRIPTIONS_MAX = 100
Index: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Range: TypeAlias = tuple[Index, Index]
Pairs: TypeAlias = Annotated[tuple[tuple[str, str], ...], Meta(max_length=500)]


class _Subscription(msgspec.Struct):
    timeline_limit: Annotated[int, Meta(ge=0)] = 0
    required_state: RequiredState | Pairs = ()

    def config(self, user_id: UserId) -> RoomConfig:
        """How much of a room it asks for."""
        wanted = parse(self.required_state, user_id)
        return RoomConfig(min(self.timeline_limit, SYNC_LIMIT_MAX), frozenset({wanted}))


class _List(_Subscription):
    ranges: Annotated[tuple[Range, ...], Meta(max_length=100)] | None = None
    range: Range | None = None
    filters: RoomFilter | None = None

    def list(self, user_id: UserId) -> List:
        """The list it asks for."""
        ranges = self.ranges if self.range is None else (self.range,)
        return List(self.config(user_id), self.filters or RoomFilter(), ranges)


class _Body(msgspec.Struct):
    conn_id: Annotated[str, Meta(max_length=ID_BYTES_MAX)] = ""
    txn_id: Annotated[str, Meta(max_length=ID_BYTES_MAX)] | None = None
    pos: str | None = None
    timeout: Annotated[int, Meta(ge=0)] | None = None
    lists: Annotated[dict[str, _List], Meta(max_length=LISTS_MAX)] = {}
    room_subscriptions: Annotated[
        dict[RoomId, _Subscription], Meta(max_length=SUBSCRIPTIONS_MAX)
    ] = {}
    unsubscribe_rooms: tuple[RoomId, ...] = ()
    extensions: dict[str, msgspec.Raw] = {}
    """Of any shape, but for those that this server has."""


_decode = msgspec.json.Decoder(ExtensionRequest).decode


def routes(sliding: SlidingSync, reader: SyncReader, timeout_ms_max: int) -> list[Route]:
    """The endpoint."""

    async def post_sync(request: Request) -> Response:
        body = request.json(_Body)
        wanted = _read(request, body, timeout_ms_max)
        reader.note_presence(request, wanted.user_id, wanted.timeout_ms)
        return Response(await sliding.answer(wanted, request.lost.add))

    return [Route("POST", PATH, post_sync)]


def _read(request: Request, body: _Body, timeout_ms_max: int) -> SlidingSyncRequest:
    """The request's parameters, which older clients put into the query."""
    requester = request.requester
    user_id = requester.user_id
    for each in body.lists.values():
        ranges = (*(each.ranges or ()), *((each.range,) if each.range else ()))
        if any(first > last for first, last in ranges):
            raise InvalidParam("A range must not end before it begins")
    timeout_ms = request.query_int("timeout", body.timeout or 0, most=timeout_ms_max)
    return SlidingSyncRequest(
        user_id=user_id,
        device_id=requester.device_id,
        conn_id=body.conn_id,
        pos=request.query.get("pos") or body.pos,
        timeout_ms=min(timeout_ms, timeout_ms_max),
        lists={name: each.list(user_id) for name, each in body.lists.items()},
        subscriptions={
            room_id: each.config(user_id) for room_id, each in body.room_subscriptions.items()
        },
        ended=body.unsubscribe_rooms,
        extensions=_extensions(body),
        txn_id=body.txn_id,
    )


def _extensions(body: _Body) -> dict[str, ExtensionRequest]:
    try:
        return {
            name: _decode(asked) for name, asked in body.extensions.items() if name in EXTENSIONS
        }
    except msgspec.ValidationError as error:
        raise BadJson(f"An extension is not asked for as it must be: {error}") from error
