"""What users have reported to the administrators."""

import msgspec

from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.server.storage.database import ReadTx, WriteTx

_REPORT = "SELECT reporter, room_id, event_id, user_id, reason, created_ts FROM reports"


class ReportRow(msgspec.Struct, frozen=True, array_like=True):
    """A report: of an event in a room, of a room, or of a user."""

    reporter: UserId
    room_id: RoomId | None
    event_id: EventId | None
    user_id: UserId | None
    reason: str
    created_ts: int


class ReportStore:
    """Verbs on reports."""

    async def insert(self, tx: WriteTx, report: ReportRow) -> None:
        """Keep a report."""
        await tx.execute(
            "INSERT INTO reports (report_id, reporter, room_id, event_id, user_id, reason,"
            " created_ts) VALUES (?,?,?,?,?,?,?)",
            tx.next_position(), report.reporter, report.room_id, report.event_id, report.user_id,
            report.reason, report.created_ts,
        )  # fmt: skip

    async def newest(self, tx: ReadTx, limit: int) -> list[ReportRow]:
        """The latest reports, the newest first."""
        sql = f"{_REPORT} ORDER BY report_id DESC LIMIT ?"
        return await tx.scan(ReportRow, sql, limit)
