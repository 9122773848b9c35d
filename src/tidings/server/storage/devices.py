"""Devices and the tokens that speak for them; of a token only its hash is kept.

A token that replaces another carries the hash of the refresh token it was
bought with: that one stays good until the new one is used (client-server API,
"Refreshing access tokens").
"""

from collections.abc import Iterable, Sequence

import msgspec

from tidings.protocol.ids import DeviceId, StreamPosition, UserId
from tidings.rules.stream import SessionChanged
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.device_keys import delete_device_keys, note_device_renamed
from tidings.server.storage.pushers import delete_device_pushers

CHANGES_KEPT = 1_000_000
"""Positions for which ended sessions are remembered: no process falls that far behind."""

_DEVICE = "SELECT device_id, display_name, last_seen_ts, last_seen_ip FROM devices"


class DeviceRow(msgspec.Struct, frozen=True, array_like=True):
    """A device as its owner is shown it."""

    device_id: DeviceId
    display_name: str | None
    last_seen_ts: int | None
    last_seen_ip: str | None


class HolderRow(msgspec.Struct, frozen=True, array_like=True):
    """Who holds an access token."""

    user_id: UserId
    device_id: DeviceId
    expires_ts: int | None
    replaces: bytes | None
    is_guest: int
    is_admin: int
    locked: int
    suspended: int


class Token(msgspec.Struct, frozen=True, array_like=True):
    """A token of a device, access or refresh."""

    token_hash: bytes
    user_id: UserId
    device_id: DeviceId
    created_ts: int
    replaces: bytes | None = None


class Sighting(msgspec.Struct, frozen=True):
    """When and from where a device was last heard of."""

    user_id: UserId
    device_id: DeviceId
    ts: int
    address: str


class DeviceStore:
    """Verbs on devices and their tokens."""

    async def ensure(
        self, tx: WriteTx, user_id: UserId, device_id: DeviceId, name: str | None, now_ms: int
    ) -> None:
        """Note a device; one that is known keeps its name and loses its tokens."""
        done = await tx.execute(
            "INSERT INTO devices (user_id, device_id, display_name, created_ts) VALUES (?,?,?,?)"
            " ON CONFLICT (user_id, device_id) DO NOTHING",
            user_id, device_id, name, now_ms,
        )  # fmt: skip
        if not done:
            await self._delete_tokens(tx, user_id, device_id)
            await delete_device_pushers(tx, user_id, device_id)
        await self._note_change(tx, user_id, device_id)

    async def rename(
        self, tx: WriteTx, user_id: UserId, device_id: DeviceId, name: str | None
    ) -> bool:
        """Give a device another name; False when there is no such device."""
        done = await tx.execute(
            "UPDATE devices SET display_name = ? WHERE user_id = ? AND device_id = ?",
            name, user_id, device_id,
        )  # fmt: skip
        if done:
            await self._note_change(tx, user_id, device_id)
            await note_device_renamed(tx, user_id, device_id)
        return done > 0

    async def delete(self, tx: WriteTx, user_id: UserId, device_id: DeviceId) -> None:
        """End a device and its tokens; one that is gone already is no error."""
        done = await tx.execute(
            "DELETE FROM devices WHERE user_id = ? AND device_id = ?", user_id, device_id
        )
        if done:
            await self._delete_tokens(tx, user_id, device_id)
            await self._note_change(tx, user_id, device_id)
            await delete_device_keys(tx, user_id, device_id)
            await delete_device_pushers(tx, user_id, device_id)

    async def delete_all(
        self, tx: WriteTx, user_id: UserId, but: DeviceId | None = None
    ) -> list[DeviceId]:
        """End every device of a user, with the exception of one; those that were ended."""
        ended = [row.device_id for row in await self.of(tx, user_id) if row.device_id != but]
        for device_id in ended:
            await self.delete(tx, user_id, device_id)
        return ended

    async def of(self, tx: ReadTx, user_id: UserId) -> list[DeviceRow]:
        """A user's devices."""
        return await tx.fetch(DeviceRow, f"{_DEVICE} WHERE user_id = ? ORDER BY device_id", user_id)

    async def find(self, tx: ReadTx, user_id: UserId, device_id: DeviceId) -> DeviceRow | None:
        """A device of a user."""
        sql = f"{_DEVICE} WHERE user_id = ? AND device_id = ?"
        return await tx.find(DeviceRow, sql, user_id, device_id)

    async def note_seen(self, tx: WriteTx, sightings: Sequence[Sighting]) -> None:
        """Note when devices were last heard of."""
        await tx.execute_many(
            "UPDATE devices SET last_seen_ts = ?, last_seen_ip = ?"
            " WHERE user_id = ? AND device_id = ?",
            [(seen.ts, seen.address or None, seen.user_id, seen.device_id) for seen in sightings],
        )

    async def find_holder(self, tx: ReadTx, token_hash: bytes) -> HolderRow | None:
        """Who holds an access token, expired or not."""
        return await tx.find(
            HolderRow,
            "SELECT t.user_id, t.device_id, t.expires_ts, t.replaces, u.is_guest, u.is_admin,"
            " u.locked, u.suspended FROM access_tokens t JOIN users u ON u.user_id = t.user_id"
            " WHERE t.token_hash = ? AND u.deactivated = 0",
            token_hash,
        )

    async def insert_access_token(self, tx: WriteTx, token: Token, expires_ts: int | None) -> None:
        """Let a token speak for a device."""
        await tx.execute(
            "INSERT INTO access_tokens (token_hash, user_id, device_id, created_ts, expires_ts,"
            " replaces) VALUES (?,?,?,?,?,?)",
            token.token_hash, token.user_id, token.device_id, token.created_ts, expires_ts,
            token.replaces,
        )  # fmt: skip

    async def insert_refresh_token(self, tx: WriteTx, token: Token) -> None:
        """Let a token buy new access tokens for a device."""
        await tx.execute(
            "INSERT INTO refresh_tokens (token_hash, user_id, device_id, created_ts, replaces)"
            " VALUES (?,?,?,?,?)",
            token.token_hash, token.user_id, token.device_id, token.created_ts, token.replaces,
        )  # fmt: skip

    async def find_refresh_token(self, tx: ReadTx, token_hash: bytes) -> Token | None:
        """A refresh token that has not been revoked."""
        return await tx.find(
            Token,
            "SELECT token_hash, user_id, device_id, created_ts, replaces FROM refresh_tokens"
            " WHERE token_hash = ?",
            token_hash,
        )

    async def revoke_replaced(
        self, tx: WriteTx, user_id: UserId, device_id: DeviceId, replaced: bytes
    ) -> None:
        """A successor of a device's refresh token was used: the old one ends."""
        await tx.execute("DELETE FROM refresh_tokens WHERE token_hash = ?", replaced)
        for table in ("access_tokens", "refresh_tokens"):
            await tx.execute(
                f"UPDATE {table} SET replaces = NULL"
                " WHERE user_id = ? AND device_id = ? AND replaces = ?",
                user_id, device_id, replaced,
            )  # fmt: skip

    async def delete_expired(
        self, tx: WriteTx, user_id: UserId, device_id: DeviceId, before_ms: int
    ) -> None:
        """Forget access tokens of a device that expired before a time."""
        await tx.execute(
            "DELETE FROM access_tokens WHERE user_id = ? AND device_id = ? AND expires_ts < ?",
            user_id, device_id, before_ms,
        )  # fmt: skip

    async def insert_login_token(
        self, tx: WriteTx, token_hash: bytes, user_id: UserId, now_ms: int, expires_ts: int
    ) -> None:
        """Let a token log in once; those that have expired are forgotten."""
        await tx.execute("DELETE FROM login_tokens WHERE expires_ts <= ?", now_ms)
        await tx.execute(
            "INSERT INTO login_tokens (token_hash, user_id, expires_ts) VALUES (?,?,?)",
            token_hash, user_id, expires_ts,
        )  # fmt: skip

    async def take_login_token(self, tx: WriteTx, token_hash: bytes, now_ms: int) -> UserId | None:
        """Whom a login token logs in; it cannot be taken again."""
        user_id = await tx.find_value(
            UserId,
            "SELECT user_id FROM login_tokens WHERE token_hash = ? AND expires_ts > ?",
            token_hash, now_ms,
        )  # fmt: skip
        if user_id is not None:
            await tx.execute("DELETE FROM login_tokens WHERE token_hash = ?", token_hash)
        return user_id

    async def delete_login_tokens(self, tx: WriteTx, user_id: UserId) -> None:
        """Let none of a user's login tokens log in."""
        await tx.execute("DELETE FROM login_tokens WHERE user_id = ?", user_id)

    async def note_all_changed(self, tx: WriteTx, user_id: UserId) -> None:
        """What a user's tokens are worth has changed: locked, unlocked, made an admin."""
        for device in await self.of(tx, user_id):
            await self._note_change(tx, user_id, device.device_id)

    async def changed(self, tx: ReadTx, after: int, upto: int) -> Iterable[SessionChanged]:
        """Devices whose tokens changed in (after, upto]."""
        return await tx.scan(
            SessionChangedRow,
            "SELECT position, user_id, device_id FROM session_changes"
            " WHERE position > ? AND position <= ?",
            after, upto,
        )  # fmt: skip

    async def _delete_tokens(self, tx: WriteTx, user_id: UserId, device_id: DeviceId) -> None:
        for table in ("access_tokens", "refresh_tokens"):
            sql = f"DELETE FROM {table} WHERE user_id = ? AND device_id = ?"
            await tx.execute(sql, user_id, device_id)

    async def _note_change(self, tx: WriteTx, user_id: UserId, device_id: DeviceId) -> None:
        position = tx.next_position()
        await tx.execute(
            "INSERT INTO session_changes (user_id, device_id, position) VALUES (?,?,?)"
            " ON CONFLICT (user_id, device_id) DO UPDATE SET position = excluded.position",
            user_id, device_id, position,
        )  # fmt: skip
        sql = "DELETE FROM session_changes WHERE position < ?"
        await tx.execute(sql, position - CHANGES_KEPT)
        tx.emit(SessionChanged(StreamPosition(position), user_id, device_id))


class SessionChangedRow(SessionChanged, frozen=True, array_like=True):
    """The change, read from a row."""
