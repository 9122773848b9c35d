"""Accounts: who exists, their password's hash, what they may do, and how they may register."""

from typing import Literal, TypeAlias

import msgspec

from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx

Restriction: TypeAlias = Literal["locked", "suspended"]
_USER = (
    "SELECT user_id, password_hash, created_ts, is_guest, is_admin, deactivated, locked, suspended"
    " FROM users"
)
_INVITATION = (
    "SELECT token, uses_allowed, completed, expires_ts, created_ts FROM registration_tokens"
)


class UserRow(msgspec.Struct, frozen=True, array_like=True):
    """An account."""

    user_id: UserId
    password_hash: str | None
    created_ts: int
    is_guest: int
    is_admin: int
    deactivated: int
    locked: int
    suspended: int


class NewUser(msgspec.Struct, frozen=True):
    """An account to be made."""

    user_id: UserId
    password_hash: str | None
    created_ts: int
    search_text: str
    is_guest: bool = False
    is_admin: bool = False


class RegistrationTokenRow(msgspec.Struct, frozen=True, array_like=True):
    """A token that lets people register."""

    token: str
    uses_allowed: int | None
    completed: int
    expires_ts: int | None
    created_ts: int

    def is_valid(self, now_ms: int) -> bool:
        """Whether one more person may register with it."""
        if self.expires_ts is not None and self.expires_ts <= now_ms:
            return False
        return self.uses_allowed is None or self.completed < self.uses_allowed


class AccountStore:
    """Verbs on accounts and registration tokens."""

    async def insert(self, tx: WriteTx, user: NewUser) -> bool:
        """Make an account; False when the name is taken."""
        done = await tx.execute(
            "INSERT INTO users (user_id, password_hash, created_ts, is_guest, is_admin,"
            " search_text) VALUES (?,?,?,?,?,?) ON CONFLICT (user_id) DO NOTHING",
            user.user_id, user.password_hash, user.created_ts, int(user.is_guest),
            int(user.is_admin), user.search_text,
        )  # fmt: skip
        return done > 0

    async def find(self, tx: ReadTx, user_id: UserId) -> UserRow | None:
        """An account, deactivated ones included."""
        return await tx.find(UserRow, f"{_USER} WHERE user_id = ?", user_id)

    async def everyone(self, tx: ReadTx) -> list[UserRow]:
        """Every account."""
        return await tx.scan(UserRow, f"{_USER} ORDER BY user_id")

    async def set_password_hash(self, tx: WriteTx, user_id: UserId, password_hash: str) -> None:
        """Let another password open the account."""
        sql = "UPDATE users SET password_hash = ? WHERE user_id = ?"
        await tx.execute(sql, password_hash, user_id)

    async def replace_password_hash(
        self, tx: WriteTx, user_id: UserId, outdated: str, password_hash: str
    ) -> None:
        """Keep a password in another form, unless it has been changed meanwhile."""
        sql = "UPDATE users SET password_hash = ? WHERE user_id = ? AND password_hash = ?"
        await tx.execute(sql, password_hash, user_id, outdated)

    async def deactivate(self, tx: WriteTx, user_id: UserId) -> None:
        """Let nobody ever log in to the account again; its name stays taken."""
        await tx.execute(
            "UPDATE users SET deactivated = 1, password_hash = NULL, search_text = ''"
            " WHERE user_id = ?",
            user_id,
        )
        await tx.execute("DELETE FROM profile_fields WHERE user_id = ?", user_id)

    async def restrict(
        self, tx: WriteTx, user_id: UserId, kind: Restriction, *, is_on: bool
    ) -> None:
        """Lock or suspend an account, or end it."""
        sql = f"UPDATE users SET {kind} = ? WHERE user_id = ?"
        await tx.execute(sql, int(is_on), user_id)

    async def is_empty(self, tx: ReadTx) -> bool:
        """Whether nobody has ever had an account."""
        return await tx.find_value(int, "SELECT 1 FROM users LIMIT 1") is None

    async def insert_registration_token(self, tx: WriteTx, row: RegistrationTokenRow) -> bool:
        """Note a token that lets people register; False when it exists."""
        done = await tx.execute(
            "INSERT INTO registration_tokens (token, uses_allowed, completed, expires_ts,"
            " created_ts) VALUES (?,?,?,?,?) ON CONFLICT (token) DO NOTHING",
            row.token, row.uses_allowed, row.completed, row.expires_ts, row.created_ts,
        )  # fmt: skip
        return done > 0

    async def find_registration_token(self, tx: ReadTx, token: str) -> RegistrationTokenRow | None:
        """A registration token, used up or not."""
        return await tx.find(RegistrationTokenRow, f"{_INVITATION} WHERE token = ?", token)

    async def registration_tokens(self, tx: ReadTx) -> list[RegistrationTokenRow]:
        """Every registration token, the newest first."""
        sql = f"{_INVITATION} ORDER BY created_ts DESC, token"
        return await tx.scan(RegistrationTokenRow, sql)

    async def use_registration_token(self, tx: WriteTx, token: str, now_ms: int) -> bool:
        """Count one registration; False when the token lets nobody in any more."""
        done = await tx.execute(
            "UPDATE registration_tokens SET completed = completed + 1 WHERE token = ?"
            " AND (uses_allowed IS NULL OR completed < uses_allowed)"
            " AND (expires_ts IS NULL OR expires_ts > ?)",
            token, now_ms,
        )  # fmt: skip
        return done > 0
