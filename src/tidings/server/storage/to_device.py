"""Messages to devices, kept until the device has said that it has them."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.ids import DeviceId, StreamPosition, UserId
from tidings.rules.stream import ToDeviceQueued
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.device_keys import Device
from tidings.server.storage.events import placeholders

AT_ONCE = 500


class Transaction(msgspec.Struct, frozen=True, array_like=True):
    """The name a device gave to a request, so as not to make it twice."""

    user_id: UserId
    device_id: DeviceId
    type: str
    txn_id: str


class ToDeviceStore:
    """Verbs on the queues of devices."""

    async def begin(self, tx: WriteTx, txn: Transaction, now_ms: int, keep_ms: int) -> bool:
        """Note a request; False when it was made before. Old ones are forgotten."""
        await tx.execute("DELETE FROM to_device_txns WHERE created_ts < ?", now_ms - keep_ms)
        done = await tx.execute(
            "INSERT INTO to_device_txns (user_id, device_id, type, txn_id, created_ts)"
            " VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING",
            *msgspec.structs.astuple(txn), now_ms,
        )  # fmt: skip
        return done > 0

    async def devices_of(self, tx: ReadTx, user_ids: Sequence[UserId]) -> list[Device]:
        """Every device of users."""
        found: list[Device] = []
        for start in range(0, len(user_ids), AT_ONCE):
            some = user_ids[start : start + AT_ONCE]
            found += await tx.fetch(
                tuple[UserId, DeviceId],
                "SELECT user_id, device_id FROM devices"
                f" WHERE user_id IN ({placeholders(len(some))}) ORDER BY user_id, device_id",
                *some,
            )
        return found

    async def queue(self, tx: WriteTx, messages: Sequence[ToDeviceQueued]) -> None:
        """Let messages wait for their devices."""
        await tx.execute_many(
            "INSERT INTO to_device (position, user_id, device_id, message) VALUES (?,?,?,?)",
            [(each.position, each.user_id, each.device_id, each.message) for each in messages],
        )
        for message in messages:
            tx.emit(message)

    async def waiting(
        self, tx: ReadTx, device: Device, span: tuple[int, int], limit: int
    ) -> list[tuple[StreamPosition, bytes]]:
        """The oldest messages for a device in a span (after, upto]."""
        return await tx.fetch(
            tuple[StreamPosition, bytes],
            "SELECT position, message FROM to_device WHERE user_id = ? AND device_id = ?"
            " AND position > ? AND position <= ? ORDER BY position LIMIT ?",
            *device, *span, limit,
        )  # fmt: skip

    async def delete(self, tx: WriteTx, delivered: Sequence[tuple[Device, int]]) -> None:
        """Forget messages that devices have, up to a position."""
        await tx.execute_many(
            "DELETE FROM to_device WHERE user_id = ? AND device_id = ? AND position <= ?",
            [(*device, upto) for device, upto in delivered],
        )

    async def queued(self, tx: ReadTx, after: int, upto: int) -> Sequence[ToDeviceQueued]:
        """Messages of all devices that were queued in (after, upto] and still wait."""
        return await tx.scan(
            ToDeviceRow,
            "SELECT position, user_id, device_id, message FROM to_device"
            " WHERE position > ? AND position <= ?",
            after, upto,
        )  # fmt: skip


class ToDeviceRow(ToDeviceQueued, frozen=True, array_like=True):
    """The change, read from a row."""
