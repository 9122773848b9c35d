"""Reporting events, rooms and users to the administrators.

Source: client-server API, "Reporting Content".
"""

from collections.abc import Callable

import msgspec

from tidings.protocol.errors import NotFound
from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.server.services.access import NO_EVENT, Access
from tidings.server.storage.accounts import AccountStore
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.reports import ReportRow, ReportStore
from tidings.server.storage.rooms import RoomStore


class Report(msgspec.Struct, frozen=True):
    """Somebody reports something."""

    reporter: UserId
    reason: str
    room_id: RoomId | None = None
    event_id: EventId | None = None
    user_id: UserId | None = None


class Reports:
    """Takes reports."""

    def __init__(
        self,
        db: Database,
        store: ReportStore,
        accounts: AccountStore,
        rooms: tuple[RoomStore, Access],
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._store = store
        self._accounts = accounts
        self._rooms, self._access = rooms
        self._now_ms = now_ms

    async def take(self, report: Report) -> None:
        """Keep a report; raises NotFound for an event one cannot see and for an unknown user.

        Of a room nobody learns here whether it is there: the answer is the same.
        """

        async def recipe(tx: WriteTx) -> None:
            if not await self._exists(tx, report):
                return
            await self._store.insert(
                tx,
                ReportRow(
                    report.reporter, report.room_id, report.event_id, report.user_id,
                    report.reason, self._now_ms(),
                ),
            )  # fmt: skip

        await self._db.write(recipe)

    async def newest(self, limit: int) -> list[ReportRow]:
        """The latest reports, for an administrator."""
        async with self._db.read() as tx:
            return await self._store.newest(tx, limit)

    async def _exists(self, tx: ReadTx, report: Report) -> bool:
        if report.user_id is not None:
            account = await self._accounts.find(tx, report.user_id)
            if account is None or account.deactivated:
                raise NotFound("There is no such user")
            return True
        room_id = report.room_id or RoomId("")
        if report.event_id is None:
            return await self._rooms.find(tx, room_id) is not None
        sight, _ = await self._access.load_event(tx, report.reporter, room_id, report.event_id)
        if report.reporter not in sight.room.joined:
            raise NotFound(NO_EVENT)
        return True
