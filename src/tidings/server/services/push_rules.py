"""A user's push rules, kept as their account data of the type m.push_rules.

Who has never changed any has none stored and lives by the default ones.
"""

from collections.abc import Callable

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId
from tidings.rules.push_rules import default_ruleset
from tidings.server.live.users import PUSH_RULES
from tidings.server.services.account_data import GLOBAL, AccountData
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.people import PeopleStore


class _Stored(msgspec.Struct):
    ruleset: JsonObject = msgspec.field(name="global")


_decode = msgspec.json.Decoder(_Stored).decode


class PushRules:
    """Reads and edits push rules."""

    def __init__(self, db: Database, people: PeopleStore, account_data: AccountData) -> None:
        self._db = db
        self._people = people
        self._account_data = account_data

    async def get(self, user_id: UserId) -> JsonObject:
        """The user's ruleset: the value of `global`."""
        async with self._db.read() as tx:
            return await self._ruleset(tx, user_id)

    async def edit(self, user_id: UserId, edit: Callable[[JsonObject], JsonObject]) -> None:
        """Replace the ruleset by what the function makes of it, which may raise a refusal."""

        async def recipe(tx: WriteTx) -> None:
            ruleset = await self._ruleset(tx, user_id)
            edited = edit(ruleset)
            if edited != ruleset:
                content = msgspec.json.encode({"global": edited})
                await self._account_data.put(tx, user_id, GLOBAL, (PUSH_RULES, content))

        await self._db.write(recipe)

    async def _ruleset(self, tx: ReadTx, user_id: UserId) -> JsonObject:
        content = await self._people.find_account_data(tx, user_id, GLOBAL, PUSH_RULES)
        return default_ruleset(user_id) if content is None else _decode(content).ruleset
