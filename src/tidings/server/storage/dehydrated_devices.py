"""Devices that are kept on the server, encrypted, to receive messages while all others are away."""

import msgspec

from tidings.protocol.ids import DeviceId, UserId
from tidings.server.storage.database import ReadTx, WriteTx


class DehydratedDevice(msgspec.Struct, frozen=True, array_like=True):
    """A user's dehydrated device and what another device needs to wake it."""

    device_id: DeviceId
    data: bytes


class DehydratedDeviceStore:
    """Verbs on dehydrated devices; a user has at most one."""

    async def find(self, tx: ReadTx, user_id: UserId) -> DehydratedDevice | None:
        """A user's dehydrated device."""
        sql = "SELECT device_id, data FROM dehydrated_devices WHERE user_id = ?"
        return await tx.find(DehydratedDevice, sql, user_id)

    async def put(self, tx: WriteTx, user_id: UserId, device: DehydratedDevice) -> None:
        """Set a user's dehydrated device."""
        await tx.execute(
            "INSERT INTO dehydrated_devices (user_id, device_id, data) VALUES (?,?,?)"
            " ON CONFLICT (user_id) DO UPDATE SET device_id = excluded.device_id,"
            " data = excluded.data",
            user_id, device.device_id, device.data,
        )  # fmt: skip

    async def delete(self, tx: WriteTx, user_id: UserId) -> None:
        """Forget a user's dehydrated device."""
        await tx.execute("DELETE FROM dehydrated_devices WHERE user_id = ?", user_id)
