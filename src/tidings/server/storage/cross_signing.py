"""The keys with which people sign their devices and each other, and those signatures."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.events import placeholders

AT_ONCE = 500


class CrossSigningKey(msgspec.Struct, frozen=True, array_like=True):
    """A key of a user, as uploaded; `usage` is master, self_signing or user_signing."""

    user_id: UserId
    usage: str
    public_key: str
    key: bytes


class KeySignature(msgspec.Struct, frozen=True, array_like=True):
    """That a key of the signer has signed a device or a master key of a user."""

    user_id: UserId
    key_id: str
    """The device's id, or the public key."""
    signer: UserId
    signing_key_id: str
    """With its algorithm, such as ed25519:DEVICEID."""
    signature: str


class CrossSigningStore:
    """Verbs on cross-signing keys and signatures."""

    async def of_users(self, tx: ReadTx, user_ids: Sequence[UserId]) -> list[CrossSigningKey]:
        """The keys of users."""
        found: list[CrossSigningKey] = []
        for start in range(0, len(user_ids), AT_ONCE):
            some = user_ids[start : start + AT_ONCE]
            found += await tx.scan(
                CrossSigningKey,
                "SELECT user_id, usage, public_key, key FROM cross_signing_keys"
                f" WHERE user_id IN ({placeholders(len(some))})",
                *some,
            )
        return found

    async def of_user(self, tx: ReadTx, user_id: UserId) -> dict[str, CrossSigningKey]:
        """The keys of a user by usage."""
        return {key.usage: key for key in await self.of_users(tx, [user_id])}

    async def put(self, tx: WriteTx, key: CrossSigningKey) -> None:
        """Set a key."""
        await tx.execute(
            "INSERT INTO cross_signing_keys (user_id, usage, public_key, key) VALUES (?,?,?,?)"
            " ON CONFLICT (user_id, usage) DO UPDATE SET public_key = excluded.public_key,"
            " key = excluded.key",
            key.user_id, key.usage, key.public_key, key.key,
        )  # fmt: skip

    async def delete(self, tx: WriteTx, key: CrossSigningKey) -> None:
        """Forget a key, what it has signed and who has signed it."""
        await tx.execute(
            "DELETE FROM cross_signing_keys WHERE user_id = ? AND usage = ?", key.user_id, key.usage
        )
        await tx.execute(
            "DELETE FROM key_signatures WHERE user_id = ? AND key_id = ?",
            key.user_id, key.public_key,
        )  # fmt: skip
        await tx.execute(
            "DELETE FROM key_signatures WHERE signer = ? AND signing_key_id = ?",
            key.user_id, f"ed25519:{key.public_key}",
        )  # fmt: skip

    async def add_signatures(self, tx: WriteTx, signatures: Sequence[KeySignature]) -> None:
        """Keep signatures; another by the same key takes the place of the old one."""
        await tx.execute_many(
            "INSERT INTO key_signatures (user_id, key_id, signer, signing_key_id, signature)"
            " VALUES (?,?,?,?,?) ON CONFLICT (user_id, key_id, signer, signing_key_id)"
            " DO UPDATE SET signature = excluded.signature",
            [msgspec.structs.astuple(each) for each in signatures],
        )

    async def signatures_shown(
        self, tx: ReadTx, user_ids: Sequence[UserId], viewer: UserId
    ) -> list[KeySignature]:
        """Signatures on the keys of users that a viewer may see: the users' and the viewer's."""
        found: list[KeySignature] = []
        for start in range(0, len(user_ids), AT_ONCE):
            some = user_ids[start : start + AT_ONCE]
            found += await tx.scan(
                KeySignature,
                "SELECT user_id, key_id, signer, signing_key_id, signature FROM key_signatures"
                f" WHERE user_id IN ({placeholders(len(some))})"
                " AND (signer = user_id OR signer = ?)",
                *some, viewer,
            )  # fmt: skip
        return found
