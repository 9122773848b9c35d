"""OpenID tokens; of each only its hash is kept."""

from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx


class OpenIdStore:
    """Verbs on OpenID tokens."""

    async def insert(
        self, tx: WriteTx, token_hash: bytes, user_id: UserId, expires_ts: int
    ) -> None:
        """Let a token tell who a user is, for a while."""
        sql = "INSERT INTO openid_tokens (token_hash, user_id, expires_ts) VALUES (?,?,?)"
        await tx.execute(sql, token_hash, user_id, expires_ts)

    async def delete_expired(self, tx: WriteTx, now_ms: int) -> None:
        """Forget the tokens that tell nothing any more."""
        await tx.execute("DELETE FROM openid_tokens WHERE expires_ts <= ?", now_ms)

    async def find_owner(self, tx: ReadTx, token_hash: bytes, now_ms: int) -> UserId | None:
        """Whose token it is, while it is good and the account is."""
        return await tx.find_value(
            UserId,
            "SELECT t.user_id FROM openid_tokens t JOIN users u ON u.user_id = t.user_id"
            " WHERE t.token_hash = ? AND t.expires_ts > ? AND u.deactivated = 0 AND u.locked = 0",
            token_hash, now_ms,
        )  # fmt: skip
