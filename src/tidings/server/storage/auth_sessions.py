"""Sessions of user-interactive authentication: how far a client has come with its proofs."""

import msgspec

from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx


class AuthSession(msgspec.Struct, frozen=True, array_like=True):
    """One attempt to prove oneself for one operation."""

    session_hash: bytes
    operation: str
    user_id: UserId | None
    request_hash: bytes
    """Of what is to be done: proofs given for one request are worth nothing for another."""
    completed: str
    """The stages that were passed, separated by spaces."""
    registration_token: str | None
    created_ts: int


class AuthSessionStore:
    """Verbs on authentication sessions."""

    async def find(self, tx: ReadTx, session_hash: bytes, after_ms: int) -> AuthSession | None:
        """A session that was begun after a time."""
        return await tx.find(
            AuthSession,
            "SELECT session_hash, operation, user_id, request_hash, completed, registration_token,"
            " created_ts FROM auth_sessions WHERE session_hash = ? AND created_ts > ?",
            session_hash, after_ms,
        )  # fmt: skip

    async def save(self, tx: WriteTx, session: AuthSession) -> None:
        """Note how far a session has come."""
        await tx.execute(
            "INSERT INTO auth_sessions (session_hash, operation, user_id, request_hash, completed,"
            " registration_token, created_ts) VALUES (?,?,?,?,?,?,?)"
            " ON CONFLICT (session_hash) DO UPDATE SET completed = excluded.completed,"
            " registration_token = excluded.registration_token",
            session.session_hash, session.operation, session.user_id, session.request_hash,
            session.completed, session.registration_token, session.created_ts,
        )  # fmt: skip

    async def delete(self, tx: WriteTx, session_hash: bytes) -> None:
        """End a session."""
        await tx.execute("DELETE FROM auth_sessions WHERE session_hash = ?", session_hash)

    async def delete_before(self, tx: WriteTx, before_ms: int) -> None:
        """End the sessions that were begun before a time."""
        await tx.execute("DELETE FROM auth_sessions WHERE created_ts <= ?", before_ms)
