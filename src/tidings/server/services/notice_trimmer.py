"""Keeps the notices of people who never read from piling up.

A count stops at so many for each room, so what is older counts for nothing:
it is deleted from time to time, beside the sending and not within it.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import Change, EventAppended
from tidings.server.live.places import NOTICES_MAX
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.people import PeopleStore

TRIM_EVERY = 100
"""Notices of a user and a room after which the old ones are looked for."""
COUNTED_MAX = 50_000
AT_ONCE = 50


class NoticeTrimmer:
    """Counts what is noted, and deletes what is too old to be counted."""

    def __init__(self, db: Database, people: PeopleStore) -> None:
        self._db = db
        self._people = people
        self._added: dict[tuple[UserId, RoomId], int] = {}
        self._due: dict[tuple[UserId, RoomId], None] = {}
        self._news = asyncio.Event()

    def watch(self, changes: Sequence[Change]) -> None:
        """Take notice of a commit."""
        for change in changes:
            if isinstance(change, EventAppended) and change.notices:
                for notice in change.notices:
                    self._count((notice.user_id, change.event.room_id))

    def _count(self, key: tuple[UserId, RoomId]) -> None:
        # The first since the start is one too many: what was before is not known.
        added = self._added.get(key, TRIM_EVERY)
        if added >= TRIM_EVERY:
            self._due[key] = None
            self._news.set()
            added = 0
        if len(self._added) >= COUNTED_MAX:
            self._added.clear()
        self._added[key] = added + 1

    async def wait(self) -> None:
        """Until somebody may have too many."""
        await self._news.wait()
        self._news.clear()

    async def trim(self) -> None:
        """Delete what is too old to be counted."""
        while self._due:
            keys = list(islice(self._due, AT_ONCE))

            async def recipe(tx: WriteTx, keys: Sequence[tuple[UserId, RoomId]] = keys) -> None:
                await self._people.delete_old_notices(tx, keys, NOTICES_MAX)

            await self._db.write(recipe)
            for key in keys:
                self._due.pop(key, None)
