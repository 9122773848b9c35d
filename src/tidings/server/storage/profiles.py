"""What people show of themselves: profile fields, each a JSON value."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.events import placeholders

SHOWN_IN_ROOMS = ("displayname", "avatar_url")
"""The fields that member events repeat."""


class ProfileStore:
    """Verbs on profile fields."""

    async def of(self, tx: ReadTx, user_id: UserId) -> dict[str, bytes]:
        """All fields of a user, their values still JSON."""
        sql = "SELECT field, value FROM profile_fields WHERE user_id = ? ORDER BY field"
        return dict(await tx.fetch(tuple[str, bytes], sql, user_id))

    async def shown(self, tx: ReadTx, users: Sequence[UserId]) -> dict[UserId, JsonObject]:
        """What member events repeat of each user's profile."""
        profiles: dict[UserId, JsonObject] = {user_id: {} for user_id in users}
        if not users:
            return profiles
        rows = await tx.fetch(
            tuple[UserId, str, bytes],
            f"SELECT user_id, field, value FROM profile_fields WHERE field IN (?,?)"
            f" AND user_id IN ({placeholders(len(users))})",
            *SHOWN_IN_ROOMS, *users,
        )  # fmt: skip
        for user_id, field, value in rows:
            profiles[user_id][field] = msgspec.json.decode(value)
        return profiles

    async def set(self, tx: WriteTx, user_id: UserId, field: str, value: bytes) -> None:
        """Let a field have a value."""
        await tx.execute(
            "INSERT INTO profile_fields (user_id, field, value) VALUES (?,?,?)"
            " ON CONFLICT (user_id, field) DO UPDATE SET value = excluded.value",
            user_id, field, value,
        )  # fmt: skip

    async def delete(self, tx: WriteTx, user_id: UserId, field: str) -> None:
        """Let a field have no value."""
        sql = "DELETE FROM profile_fields WHERE user_id = ? AND field = ?"
        await tx.execute(sql, user_id, field)

    async def set_search_text(self, tx: WriteTx, user_id: UserId, text: str) -> None:
        """Let the user be found by other names."""
        await tx.execute("UPDATE users SET search_text = ? WHERE user_id = ?", text, user_id)
