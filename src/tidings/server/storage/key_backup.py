"""Backups of room keys: each user's versions, and the keys in them.

The number of keys is kept with the version: counting 200,000 takes too long.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import chain
from typing import TypeAlias

import msgspec

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.key_backup import KeyRank
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.events import placeholders

AT_ONCE = 500
PAGE = 5_000
DELETED_AT_ONCE = 1_000
Session: TypeAlias = tuple[RoomId, str]


class Version(msgspec.Struct, frozen=True, array_like=True):
    """A backup of a user."""

    version: int
    algorithm: str
    auth_data: bytes
    count: int
    etag: int
    deleted: int


class BackedUpKey(msgspec.Struct, frozen=True, array_like=True):
    """A key of a session in a room."""

    room_id: RoomId
    session_id: str
    first_message_index: int
    forwarded_count: int
    is_verified: int
    session_data: bytes


class Place(msgspec.Struct, frozen=True):
    """Which keys of a backup: all, those of a room, or one."""

    user_id: UserId
    version: int
    room_id: RoomId | None = None
    session_id: str | None = None

    @property
    def clause(self) -> str:
        """The condition."""
        of_room = "" if self.room_id is None else " AND room_id = ?"
        return f"user_id = ? AND version = ?{of_room}" + (
            "" if self.session_id is None else " AND session_id = ?"
        )

    @property
    def values(self) -> tuple[str | int, ...]:
        """The arguments of the condition."""
        given = (self.user_id, self.version, self.room_id, self.session_id)
        return tuple(value for value in given if value is not None)


_VERSION = "SELECT version, algorithm, auth_data, count, etag, deleted FROM backups"
_KEY = (
    "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data"
    " FROM backup_keys"
)


class KeyBackupStore:
    """Verbs on backups."""

    async def newest(self, tx: ReadTx, user_id: UserId) -> Version | None:
        """The version in use."""
        sql = f"{_VERSION} WHERE user_id = ? AND deleted = 0 ORDER BY version DESC LIMIT 1"
        return await tx.find(Version, sql, user_id)

    async def find(self, tx: ReadTx, user_id: UserId, version: int) -> Version | None:
        """A version, deleted or not."""
        return await tx.find(
            Version, f"{_VERSION} WHERE user_id = ? AND version = ?", user_id, version
        )

    async def create(self, tx: WriteTx, user_id: UserId, algorithm: str, auth_data: bytes) -> int:
        """Begin a version; no number is used twice."""
        sql = "SELECT max(version) FROM backups WHERE user_id = ?"
        version = (await tx.find_value(int, sql, user_id) or 0) + 1
        await tx.execute(
            "INSERT INTO backups (user_id, version, algorithm, auth_data) VALUES (?,?,?,?)",
            user_id, version, algorithm, auth_data,
        )  # fmt: skip
        return version

    async def set_auth_data(
        self, tx: WriteTx, user_id: UserId, version: int, auth_data: bytes
    ) -> None:
        """Change what is told of how a version's keys are encrypted."""
        await tx.execute(
            "UPDATE backups SET auth_data = ? WHERE user_id = ? AND version = ?",
            auth_data, user_id, version,
        )  # fmt: skip

    async def mark_deleted(self, tx: WriteTx, user_id: UserId, version: int) -> None:
        """Let a version be gone; its number stays known."""
        await tx.execute(
            "UPDATE backups SET deleted = 1, count = 0 WHERE user_id = ? AND version = ?",
            user_id, version,
        )  # fmt: skip

    async def held(
        self, tx: ReadTx, place: Place, sessions: Sequence[Session]
    ) -> dict[Session, KeyRank]:
        """What is told of those of the sessions whose keys are kept."""
        found: dict[Session, KeyRank] = {}
        for start in range(0, len(sessions), AT_ONCE):
            some = sessions[start : start + AT_ONCE]
            for row in await tx.fetch(
                tuple[RoomId, str, int, int, int],
                f"WITH wanted(room_id, session_id) AS (VALUES {_pairs(some)})"
                " SELECT k.room_id, k.session_id, k.first_message_index, k.forwarded_count,"
                " k.is_verified FROM wanted w JOIN backup_keys k ON k.user_id = ?"
                " AND k.version = ? AND k.room_id = w.room_id AND k.session_id = w.session_id",
                *chain.from_iterable(some), place.user_id, place.version,
            ):  # fmt: skip
                found[row[0], row[1]] = KeyRank(row[2], row[3], bool(row[4]))
        return found

    async def put(self, tx: WriteTx, place: Place, keys: Iterable[BackedUpKey]) -> None:
        """Set keys."""
        await tx.execute_many(
            "INSERT INTO backup_keys (user_id, version, room_id, session_id, first_message_index,"
            " forwarded_count, is_verified, session_data) VALUES (?,?,?,?,?,?,?,?)"
            " ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET"
            " first_message_index = excluded.first_message_index,"
            " forwarded_count = excluded.forwarded_count, is_verified = excluded.is_verified,"
            " session_data = excluded.session_data",
            [(place.user_id, place.version, *msgspec.structs.astuple(key)) for key in keys],
        )

    async def note_change(self, tx: WriteTx, place: Place, added: int) -> None:
        """Count keys that came or went, and let the version's etag be another."""
        await tx.execute(
            "UPDATE backups SET count = count + ?, etag = etag + 1"
            " WHERE user_id = ? AND version = ?",
            added, place.user_id, place.version,
        )  # fmt: skip

    async def delete_some(self, tx: WriteTx, place: Place) -> int:
        """Forget keys, a bounded number at a time; how many it was."""
        return await tx.execute(
            f"DELETE FROM backup_keys WHERE {place.clause} AND (room_id, session_id) IN"
            f" (SELECT room_id, session_id FROM backup_keys WHERE {place.clause}"
            f" ORDER BY room_id, session_id LIMIT {DELETED_AT_ONCE})",
            *place.values, *place.values,
        )  # fmt: skip

    async def pages(self, db: Database, place: Place) -> AsyncIterator[list[BackedUpKey]]:
        """The keys in their order, a page at a time, all of one snapshot."""
        async with db.read() as tx:
            after: Session = (RoomId(""), "")
            while True:
                page = await tx.scan(
                    BackedUpKey,
                    f"{_KEY} WHERE {place.clause} AND (room_id, session_id) > (?, ?)"
                    f" ORDER BY room_id, session_id LIMIT {PAGE}",
                    *place.values, *after,
                )  # fmt: skip
                if page:
                    yield page
                if len(page) < PAGE:
                    return
                after = (page[-1].room_id, page[-1].session_id)


def _pairs(sessions: Sequence[Session]) -> str:
    return ",".join([f"({placeholders(2)})"] * len(sessions))
