"""Tokens by which a user proves to a third service who they are.

Source: client-server API, "OpenID"; server-server API, "OpenID".
"""

from collections.abc import Callable

from tidings.protocol.errors import UnknownToken
from tidings.protocol.ids import UserId
from tidings.server.live.sessions import hash_token
from tidings.server.services.tokens import new_token
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.openid import OpenIdStore

LIFETIME_MS = 3_600_000


class OpenId:
    """Gives the tokens out, and says whose one is."""

    def __init__(self, db: Database, store: OpenIdStore, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._store = store
        self._now_ms = now_ms

    async def issue(self, user_id: UserId) -> str:
        """A new token of a user."""
        token, now = new_token(), self._now_ms()

        async def recipe(tx: WriteTx) -> None:
            await self._store.delete_expired(tx, now)
            await self._store.insert(tx, hash_token(token), user_id, now + LIFETIME_MS)

        await self._db.write(recipe)
        return token

    async def owner_of(self, token: str) -> UserId:
        """Whose token it is; raises UnknownToken."""
        async with self._db.read() as tx:
            user_id = await self._store.find_owner(tx, hash_token(token), self._now_ms())
        if user_id is None:
            raise UnknownToken("The token is not known, or has expired", soft_logout=False)
        return user_id
