"""Keys of devices: identity keys, one-time keys, fallback keys, and how many are left.

One-time keys are handed out in the order of their numbers. Writers take turns,
so a key that a recipe has read and deleted is nobody else's.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias, TypeVar

import msgspec

from tidings.protocol.ids import DeviceId, UserId
from tidings.rules.stream import KeyCountsChanged
from tidings.rules.sync import NO_KEYS
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.device_lists import note_device_list_change
from tidings.server.storage.events import placeholders

T = TypeVar("T")
AT_ONCE = 500
"""Rows named in one statement."""
USUAL = "signed_curve25519"
"""The algorithm of the one-time keys that clients use."""
Device: TypeAlias = tuple[UserId, DeviceId]
Wanted: TypeAlias = tuple[UserId, DeviceId, str]
"""A device and the algorithm of the key that is asked for."""


class DeviceKeysRow(msgspec.Struct, frozen=True, array_like=True):
    """A device's identity keys as it uploaded them."""

    user_id: UserId
    device_id: DeviceId
    keys: bytes
    display_name: str | None


class OneTimeKeyRow(msgspec.Struct, frozen=True, array_like=True):
    """A one-time or fallback key; `number` is its turn, or whether it was used."""

    user_id: UserId
    device_id: DeviceId
    algorithm: str
    number: int
    key_id: str
    key: bytes

    @property
    def wanted(self) -> Wanted:
        """What it answers to."""
        return self.user_id, self.device_id, self.algorithm


async def delete_device_keys(tx: WriteTx, user_id: UserId, device_id: DeviceId) -> None:
    """Forget a device that has ended, and let those who send to it know."""
    for table in ("one_time_keys", "fallback_keys", "to_device", "to_device_txns"):
        sql = f"DELETE FROM {table} WHERE user_id = ? AND device_id = ?"
        await tx.execute(sql, user_id, device_id)
    await tx.execute(
        "DELETE FROM key_signatures WHERE user_id = ? AND key_id = ?", user_id, device_id
    )
    position = tx.next_position()
    # The row stays, so that other processes read that there is nothing left.
    if await tx.execute(
        "UPDATE key_counts SET counts = ?, position = ? WHERE user_id = ? AND device_id = ?",
        NO_KEYS, position, user_id, device_id,
    ):  # fmt: skip
        tx.emit(KeyCountsChanged(position, user_id, device_id, NO_KEYS))
    sql = "DELETE FROM device_keys WHERE user_id = ? AND device_id = ?"
    if await tx.execute(sql, user_id, device_id):
        await note_device_list_change(tx, user_id)


async def note_device_renamed(tx: WriteTx, user_id: UserId, device_id: DeviceId) -> None:
    """Let those who are shown a device's name with its keys ask for it again."""
    sql = "SELECT 1 FROM device_keys WHERE user_id = ? AND device_id = ?"
    if await tx.find_value(int, sql, user_id, device_id):
        await note_device_list_change(tx, user_id)


class DeviceKeyStore:
    """Verbs on the keys of devices."""

    async def find(self, tx: ReadTx, user_id: UserId, device_id: DeviceId) -> bytes | None:
        """A device's identity keys."""
        sql = "SELECT keys FROM device_keys WHERE user_id = ? AND device_id = ?"
        return await tx.find_value(bytes, sql, user_id, device_id)

    async def put(self, tx: WriteTx, user_id: UserId, device_id: DeviceId, keys: bytes) -> None:
        """Set a device's identity keys; what was signed of others is signed no longer."""
        await tx.execute(
            "INSERT INTO device_keys (user_id, device_id, keys) VALUES (?,?,?)"
            " ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys",
            user_id, device_id, keys,
        )  # fmt: skip

    async def forget_identity(self, tx: WriteTx, user_id: UserId, device_id: DeviceId) -> None:
        """Drop what a device's old identity keys had signed, and who had signed them."""
        for table in ("one_time_keys", "fallback_keys"):
            sql = f"DELETE FROM {table} WHERE user_id = ? AND device_id = ?"
            await tx.execute(sql, user_id, device_id)
        await tx.execute(
            "DELETE FROM key_signatures WHERE user_id = ? AND key_id = ?", user_id, device_id
        )

    async def of_users(self, tx: ReadTx, user_ids: Sequence[UserId]) -> list[DeviceKeysRow]:
        """The identity keys of all devices of users."""
        found: list[DeviceKeysRow] = []
        for some in _parts(user_ids):
            found += await tx.scan(
                DeviceKeysRow,
                "SELECT k.user_id, k.device_id, k.keys, d.display_name FROM device_keys k"
                " LEFT JOIN devices d ON d.user_id = k.user_id AND d.device_id = k.device_id"
                f" WHERE k.user_id IN ({placeholders(len(some))}) ORDER BY k.user_id, k.device_id",
                *some,
            )
        return found

    async def one_time_keys(
        self, tx: ReadTx, user_id: UserId, device_id: DeviceId
    ) -> list[OneTimeKeyRow]:
        """The one-time keys a device has left."""
        return await tx.fetch(
            OneTimeKeyRow,
            "SELECT user_id, device_id, algorithm, number, key_id, key FROM one_time_keys"
            " WHERE user_id = ? AND device_id = ?",
            user_id, device_id,
        )  # fmt: skip

    async def insert_one_time_keys(self, tx: WriteTx, keys: Sequence[OneTimeKeyRow]) -> None:
        """Add one-time keys."""
        await tx.execute_many(
            "INSERT INTO one_time_keys (user_id, device_id, algorithm, number, key_id, key)"
            " VALUES (?,?,?,?,?,?)",
            [msgspec.structs.astuple(key) for key in keys],
        )

    async def put_fallback_keys(self, tx: WriteTx, keys: Sequence[OneTimeKeyRow]) -> None:
        """Set fallback keys; one that is uploaded again stays used."""
        await tx.execute_many(
            "INSERT INTO fallback_keys (user_id, device_id, algorithm, used, key_id, key)"
            " VALUES (?,?,?,?,?,?) ON CONFLICT (user_id, device_id, algorithm) DO UPDATE SET"
            " used = CASE WHEN fallback_keys.key_id = excluded.key_id"
            " AND fallback_keys.key = excluded.key THEN fallback_keys.used ELSE 0 END,"
            " key_id = excluded.key_id, key = excluded.key",
            [msgspec.structs.astuple(key) for key in keys],
        )

    async def take_one_time_keys(
        self, tx: WriteTx, wanted: Sequence[Wanted]
    ) -> list[OneTimeKeyRow]:
        """For each device the oldest key of an algorithm, which is then gone."""
        taken: list[OneTimeKeyRow] = []
        for some in _parts(wanted):
            taken += await tx.fetch(
                OneTimeKeyRow,
                f"WITH wanted(user_id, device_id, algorithm) AS ({_values(some, 3)})"
                " SELECT k.user_id, k.device_id, k.algorithm, k.number, k.key_id, k.key"
                " FROM wanted w JOIN one_time_keys k ON k.user_id = w.user_id"
                " AND k.device_id = w.device_id AND k.algorithm = w.algorithm AND k.number ="
                " (SELECT min(o.number) FROM one_time_keys o WHERE o.user_id = w.user_id"
                " AND o.device_id = w.device_id AND o.algorithm = w.algorithm)",
                *chain.from_iterable(some),
            )
        if taken:
            await tx.execute_many(
                "DELETE FROM one_time_keys WHERE user_id = ? AND device_id = ?"
                " AND algorithm = ? AND number = ?",
                [(*key.wanted, key.number) for key in taken],
            )
        return taken

    async def use_fallback_keys(self, tx: WriteTx, wanted: Sequence[Wanted]) -> list[OneTimeKeyRow]:
        """The fallback keys of devices, which are used from now on; `number`: were they before."""
        found: list[OneTimeKeyRow] = []
        for some in _parts(wanted):
            found += await tx.fetch(
                OneTimeKeyRow,
                f"WITH wanted(user_id, device_id, algorithm) AS ({_values(some, 3)})"
                " SELECT k.user_id, k.device_id, k.algorithm, k.used, k.key_id, k.key"
                " FROM wanted w JOIN fallback_keys k ON k.user_id = w.user_id"
                " AND k.device_id = w.device_id AND k.algorithm = w.algorithm",
                *chain.from_iterable(some),
            )
        fresh = [key.wanted for key in found if not key.number]
        if fresh:
            await tx.execute_many(
                "UPDATE fallback_keys SET used = 1 WHERE user_id = ? AND device_id = ?"
                " AND algorithm = ?",
                fresh,
            )
        return found

    async def note_counts(self, tx: WriteTx, devices: Sequence[Device]) -> None:
        """Count the keys of devices anew and let their syncs tell it."""
        # COMPAT(Element Android): a count that is missing is not taken for 0.
        counts: dict[Device, dict[str, int]] = {device: {USUAL: 0} for device in devices}
        unused: dict[Device, list[str]] = {device: [] for device in devices}
        for some in _parts(devices):
            wanted = f"WITH wanted(user_id, device_id) AS ({_values(some, 2)})"
            for user_id, device_id, algorithm, count in await tx.fetch(
                tuple[UserId, DeviceId, str, int],
                f"{wanted} SELECT k.user_id, k.device_id, k.algorithm, count(*) FROM wanted w"
                " JOIN one_time_keys k ON k.user_id = w.user_id AND k.device_id = w.device_id"
                " GROUP BY k.user_id, k.device_id, k.algorithm",
                *chain.from_iterable(some),
            ):
                counts[user_id, device_id][algorithm] = count
            for user_id, device_id, algorithm in await tx.fetch(
                tuple[UserId, DeviceId, str],
                f"{wanted} SELECT k.user_id, k.device_id, k.algorithm FROM wanted w"
                " JOIN fallback_keys k ON k.user_id = w.user_id AND k.device_id = w.device_id"
                " AND k.used = 0 ORDER BY k.algorithm",
                *chain.from_iterable(some),
            ):
                unused[user_id, device_id].append(algorithm)
        position = tx.next_position()
        changes = [
            KeyCountsChanged(position, *device, _members(counts[device], unused[device]))
            for device in devices
        ]
        await tx.execute_many(
            "INSERT INTO key_counts (user_id, device_id, counts, position) VALUES (?,?,?,?)"
            " ON CONFLICT (user_id, device_id) DO UPDATE SET counts = excluded.counts,"
            " position = excluded.position",
            [(each.user_id, each.device_id, each.counts, position) for each in changes],
        )
        for change in changes:
            tx.emit(change)

    async def counts_of(self, tx: ReadTx, user_id: UserId) -> dict[DeviceId, bytes]:
        """What /sync tells each device of a user about its keys."""
        rows = await tx.fetch(
            tuple[DeviceId, bytes],
            "SELECT device_id, counts FROM key_counts WHERE user_id = ?",
            user_id,
        )
        return dict(rows)

    async def queues_of(self, tx: ReadTx, user_id: UserId) -> dict[DeviceId, tuple[int, int]]:
        """Where the messages begin and end that wait for each device of a user."""
        rows = await tx.fetch(
            tuple[DeviceId, int, int],
            "SELECT device_id, min(position), max(position) FROM to_device WHERE user_id = ?"
            " GROUP BY device_id",
            user_id,
        )
        return {device_id: (oldest, newest) for device_id, oldest, newest in rows}

    async def counts_changed(self, tx: ReadTx, after: int, upto: int) -> Sequence[KeyCountsChanged]:
        """Devices whose keys were uploaded or claimed in (after, upto]."""
        return await tx.scan(
            KeyCountsRow,
            "SELECT position, user_id, device_id, counts FROM key_counts"
            " WHERE position > ? AND position <= ?",
            after, upto,
        )  # fmt: skip


class KeyCountsRow(KeyCountsChanged, frozen=True, array_like=True):
    """The change, read from a row."""


def _members(counts: dict[str, int], unused: Iterable[str]) -> bytes:
    told = {"device_one_time_keys_count": counts, "device_unused_fallback_key_types": list(unused)}
    return msgspec.json.encode(told)[1:-1]


def _values(rows: Sequence[object], width: int) -> str:
    return "VALUES " + ",".join([f"({placeholders(width)})"] * len(rows))


def _parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE))
