"""Sliding sync: subscribe, then plan, then read, then wait.

A plan is made of memory; only what it names is read from the database. While
there is nothing, a request waits to be woken by the feed and plans again.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from tidings.protocol.ids import RoomId
from tidings.protocol.tokens import parse_token
from tidings.rules.presentation import View
from tidings.rules.sliding_sync import Answer, RoomResult, assemble
from tidings.server.live.present import Present
from tidings.server.live.users import UserView
from tidings.server.services.sliding_board import Board, Boards
from tidings.server.services.sliding_connections import (
    Asked,
    Connection,
    Connections,
    Pending,
    Sent,
)
from tidings.server.services.sliding_extensions import Extensions, Extras, enabled_of
from tidings.server.services.sliding_plan import Plan, SlidingSyncRequest, make_plan
from tidings.server.services.sliding_results import compose, compose_gone, compose_outside
from tidings.server.services.sliding_rooms import RoomRead, RoomReader
from tidings.server.storage.database import Database, ReadTx

NEVER = 1 << 62


class _Waiter:
    """Is woken by the feed, or told that the client has gone away."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self.is_over = False

    def wake(self) -> None:
        """There may be news."""
        self._woken.set()

    def expire(self) -> None:
        """Nobody waits any more."""
        self.is_over = True
        self._woken.set()

    def rest(self) -> None:
        """What comes from here on is news."""
        self._woken.clear()

    async def wait(self, deadline_s: float) -> bool:
        """Whether there may be news; False when the time is over."""
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return not self.is_over


class _Exchange(msgspec.Struct):
    """One request and what it is answered from."""

    request: SlidingSyncRequest
    connection: Connection
    turn: int
    asked: Asked
    waiter: _Waiter
    is_urgent: bool
    """Whether it is answered at once: the first of its connection, or one that asks for more."""

    @property
    def is_superseded(self) -> bool:
        """Whether a newer request of the connection has come."""
        return self.connection.turn != self.turn


class SlidingSync:
    """Answers requests of sliding sync."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        present: Present,
        connections: Connections,
        boards: Boards,
        rooms: RoomReader,
        extensions: Extensions,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._present = present
        self._connections = connections
        self._boards = boards
        self._rooms = rooms
        self._extensions = extensions
        self._now_ms = now_ms

    async def answer(
        self, request: SlidingSyncRequest, on_lost: Callable[[Callable[[], None]], None]
    ) -> bytes:
        """The body of the answer; raises UnknownPos."""
        exchange = self._begin(request)
        feed, waiter = self._present.feed, exchange.waiter
        on_lost(waiter.expire)
        feed.subscribe(request.user_id, waiter)
        try:
            return assemble(await self._answer(exchange))
        finally:
            feed.unsubscribe(request.user_id, waiter)

    def _begin(self, request: SlidingSyncRequest) -> _Exchange:
        place = (request.user_id, request.device_id, request.conn_id)
        if request.pos is None:
            connection = self._connections.begin(place)
        else:
            connection = self._connections.find(place, request.pos)
        connection.turn += 1
        connection.subscribe(request.subscriptions, request.ended)
        asked = Asked(request.lists, dict(connection.subscriptions))
        is_urgent = (
            connection.pos is None
            or connection.answered != asked
            or connection.extensions != enabled_of(request)
        )
        return _Exchange(request, connection, connection.turn, asked, _Waiter(), is_urgent)

    async def _answer(self, exchange: _Exchange) -> Answer:
        request, connection, waiter = exchange.request, exchange.connection, exchange.waiter
        deadline_s = asyncio.get_running_loop().time() + request.timeout_ms / 1000
        view, _ = await self._load(exchange)
        self._extensions.devices.acknowledge(request, view)
        while True:
            view, board = await self._load(exchange)
            waiter.rest()
            plan = make_plan(exchange.asked, connection, board, view)
            extras = self._extensions.gather(request, connection, plan, view)
            if plan.rooms or extras or exchange.is_urgent:
                answer = await self._tell(exchange, view, plan, extras)
                if answer is not None:
                    return answer
            if exchange.is_superseded:
                return self._nothing(exchange, plan)
            connection.move_on(plan.upto, plan.live)
            if not await waiter.wait(deadline_s) or exchange.is_superseded:
                return self._nothing(exchange, plan)

    async def _load(self, exchange: _Exchange) -> tuple[UserView, Board]:
        """What memory must hold; nothing is waited for once it does."""
        user_id = exchange.request.user_id
        filters = [each.filter for each in exchange.asked.lists.values()]
        needs_facts = any(each.needs_facts for each in filters)
        spaces = {space for each in filters for space in each.spaces or ()}
        while True:
            view, board = self._present.users.held(user_id), self._boards.held(user_id)
            if view is None:
                async with self._db.read() as tx:
                    await self._present.users.load(tx, user_id)
            elif board is None:
                await self._boards.load(user_id)
            elif needs_facts and not board.has_facts:
                await self._boards.load_facts(board)
            elif missing := [space for space in spaces if space not in board.children]:
                await self._boards.load_children(board, missing)
            else:
                return view, board

    async def _tell(
        self, exchange: _Exchange, view: UserView, plan: Plan, extras: Extras
    ) -> Answer | None:
        """The answer, if what may be news is news."""
        connection, request = exchange.connection, exchange.request
        results: dict[RoomId, RoomResult] = {}
        sent: dict[RoomId, Sent] = {}
        extensions: dict[str, object] = {}
        is_news = False
        if plan.rooms or extras or extras.enabled:
            async with self._db.read() as tx:
                read = await self._read_rooms(tx, exchange, view, plan)
                for room_id, (result, has) in read.items():
                    results[room_id], sent[room_id] = result, has
                firsts = _firsts(results, connection, extras)
                extensions, is_news = await self._extensions.read(tx, extras, request, firsts)
        if not (results or is_news or exchange.is_urgent):
            return None
        pos = self._connections.new_pos(plan.upto)
        if not exchange.is_superseded:
            connection.pending = Pending(pos, plan.upto, plan.live, sent, extras.enabled)
            connection.answered = exchange.asked
        return Answer(pos, _lists(plan), results, extensions, request.txn_id)

    async def _read_rooms(
        self, tx: ReadTx, exchange: _Exchange, view: UserView, plan: Plan
    ) -> dict[RoomId, tuple[RoomResult, Sent]]:
        request, upto = exchange.request, plan.upto
        shown = View(request.user_id, request.device_id, self._now_ms(), room_id=False)
        outside = [each for each in plan.rooms if each.is_outside]
        inside = [each for each in plan.rooms if not each.is_outside]
        stripped = await self._rooms.outside(tx, outside, request.user_id)
        read: Mapping[RoomId, RoomRead] = await self._rooms.read(tx, inside, view, upto, shown)
        results = {}
        for each in plan.rooms:
            room_id = each.room_id
            if each.is_outside:
                results[room_id] = compose_outside(each, stripped.get(room_id, []), upto)
            elif each.entry.was_joined:
                results[room_id] = compose(each, read[room_id], exchange.connection, upto, shown)
            else:
                results[room_id] = compose_gone(each, read[room_id], upto, shown)
        return results

    @staticmethod
    def _nothing(exchange: _Exchange, plan: Plan) -> Answer:
        """The answer that there is nothing: the same position again."""
        request = exchange.request
        return Answer(request.pos or "", _lists(plan), txn_id=request.txn_id)


def _lists(plan: Plan) -> dict[str, dict[str, int]]:
    return {name: {"count": count} for name, count in plan.counts.items()}


def _firsts(
    results: Mapping[RoomId, RoomResult], connection: Connection, extras: Extras
) -> dict[RoomId, tuple[int, int]]:
    """For rooms whose receipts are read: from where the client has events, and has receipts."""
    firsts = {}
    for room_id in extras.new_receipts:
        result, before = results.get(room_id), connection.rooms.get(room_id)
        first, since = NEVER, before.upto if before else NEVER
        if room_id in connection.live:
            first = 0
        elif result is not None and isinstance(result.prev_batch, str):
            first = parse_token(result.prev_batch)
        firsts[room_id] = (first, since)
    return firsts
