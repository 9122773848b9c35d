"""What waits to be pushed, and how far the events have been looked at for it.

A push is queued in the transaction that moves the checkpoint past its event,
and goes when its gateway has taken it: a crash loses none, and repeats at
most those that were taken and not yet crossed off.
"""

from collections.abc import Sequence

import msgspec

from tidings.protocol.ids import StreamPosition, UserId
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.events import placeholders

QUEUE_MAX = 100
"""Pushes that wait for one pusher; of more, the oldest go: nobody wants to be told of them."""
USERS_AT_ONCE = 1_000
"""Users asked for in one query."""
_LOCK = 0x7469_6469
"""Names the advisory lock of whoever pushes."""


class Push(msgspec.Struct, frozen=True, array_like=True):
    """Something a pusher is to be told."""

    position: StreamPosition
    """The event's; of a count to be cleared, that of the reading."""
    tweaks: bytes | None
    """A JSON object: how to present it. None where only the count of unread is to be told."""
    queued_ts: int


class Draft(msgspec.Struct, frozen=True):
    """A push for all pushers of a user."""

    user_id: UserId
    position: StreamPosition
    tweaks: bytes | None


class PushStore:
    """Verbs on the queue."""

    async def claim(self, tx: WriteTx, kind: str) -> bool:
        """Be the one process that pushes; False while another is."""
        if kind != "postgresql":
            return True  # SQLite has one process
        # Held by the connection that writes, so it ends with the process, however that ends.
        sql = f"SELECT pg_try_advisory_lock({_LOCK})"
        return await tx.find_value(bool, sql) is True

    async def checkpoint(self, tx: ReadTx) -> int:
        """Up to where everything that is to be pushed is queued."""
        sql = "SELECT position FROM push_checkpoint WHERE id = 1"
        return await tx.find_value(int, sql) or 0

    async def set_checkpoint(self, tx: WriteTx, position: int) -> None:
        """Note up to where everything is queued."""
        await tx.execute(
            "INSERT INTO push_checkpoint (id, position) VALUES (1, ?)"
            " ON CONFLICT (id) DO UPDATE SET position = excluded.position",
            position,
        )

    async def add(self, tx: WriteTx, drafts: Sequence[Draft], now_ms: int) -> list[int]:
        """Queue pushes; the pushers they are for."""
        users = sorted({draft.user_id for draft in drafts})
        pushers: dict[UserId, list[int]] = {}
        for start in range(0, len(users), USERS_AT_ONCE):
            some = users[start : start + USERS_AT_ONCE]
            marks = placeholders(len(some))
            sql = f"SELECT pusher_id, user_id FROM pushers WHERE user_id IN ({marks})"
            for pusher_id, user_id in await tx.scan(tuple[int, UserId], sql, *some):
                pushers.setdefault(user_id, []).append(pusher_id)
        rows = [
            (pusher_id, draft.position, draft.tweaks, now_ms)
            for draft in drafts
            for pusher_id in pushers.get(draft.user_id, ())
            if pusher_id < draft.position
        ]
        await tx.execute_many(
            "INSERT INTO pushes (pusher_id, position, tweaks, queued_ts) VALUES (?,?,?,?)"
            " ON CONFLICT (pusher_id, position) DO NOTHING",
            rows,
        )
        return sorted({row[0] for row in rows})

    async def waiting(self, tx: ReadTx, pusher_id: int, limit: int) -> list[Push]:
        """The pushes that wait for a pusher, oldest first."""
        return await tx.fetch(
            Push,
            "SELECT position, tweaks, queued_ts FROM pushes WHERE pusher_id = ?"
            " ORDER BY position LIMIT ?",
            pusher_id, limit,
        )  # fmt: skip

    async def all_waiting(self, tx: ReadTx) -> list[int]:
        """The pushers that anything waits for."""
        rows = await tx.scan(tuple[int], "SELECT DISTINCT pusher_id FROM pushes")
        return [pusher_id for (pusher_id,) in rows]

    async def trim(self, tx: WriteTx, pusher_ids: Sequence[int]) -> None:
        """Drop the oldest pushes of pushers for which too many wait."""
        await tx.execute_many(
            "DELETE FROM pushes WHERE pusher_id = ? AND position <= (SELECT position FROM pushes"
            f" WHERE pusher_id = ? ORDER BY position DESC LIMIT 1 OFFSET {QUEUE_MAX})",
            [(pusher_id, pusher_id) for pusher_id in pusher_ids],
        )

    async def cross_off(
        self, tx: WriteTx, pusher_id: int, positions: Sequence[int], badge: int | None
    ) -> None:
        """Forget pushes that were taken or are no longer wanted, and note the count told."""
        await tx.execute_many(
            "DELETE FROM pushes WHERE pusher_id = ? AND position = ?",
            [(pusher_id, position) for position in positions],
        )
        if badge is not None:
            sql = "UPDATE pushers SET badge = ? WHERE pusher_id = ?"
            await tx.execute(sql, badge, pusher_id)
