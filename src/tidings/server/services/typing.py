"""Typing: who starts, goes on, stops, or has been silent for too long.

To go on typing moves only the time it ends: no position, nobody is woken.
Source: client-server API, "Typing Notifications".
"""

from collections.abc import Callable

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import TypingChanged
from tidings.server.live.rooms import Rooms
from tidings.server.live.typing import Typing
from tidings.server.services.joined import load_joined
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.people import PeopleStore

TIMEOUT_MS_DEFAULT = 30_000
TIMEOUT_MS_MAX = 120_000


class TypingNotifications:
    """Tells rooms who is typing."""

    def __init__(
        self,
        db: Database,
        people: PeopleStore,
        rooms: Rooms,
        typing: Typing,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._people = people
        self._rooms = rooms
        self._typing = typing
        self._now_ms = now_ms

    async def start(self, room_id: RoomId, user_id: UserId, timeout_ms: int) -> None:
        """Show a user as typing for some time; raises Forbidden."""
        until_ts = self._now_ms() + max(1, min(timeout_ms, TIMEOUT_MS_MAX))

        async def recipe(tx: WriteTx) -> None:
            await load_joined(self._rooms, tx, room_id, user_id)
            if not await self._people.extend_typing(tx, room_id, user_id, until_ts):
                await self._change(tx, room_id, user_id, until_ts)

        await self._db.write(recipe)
        self._typing.extend(room_id, user_id, until_ts)

    async def stop(self, room_id: RoomId, user_id: UserId) -> None:
        """Show a user as typing no longer; raises Forbidden."""

        async def recipe(tx: WriteTx) -> None:
            await load_joined(self._rooms, tx, room_id, user_id)
            if await self._people.find_typing_until(tx, room_id, user_id):
                await self._change(tx, room_id, user_id, 0)

        await self._db.write(recipe)

    async def end_expired(self) -> None:
        """Stop whoever has not gone on, here or on another process, before their time was over."""
        now = self._now_ms()
        ended = self._typing.ended(now)
        if not ended:
            return

        async def recipe(tx: WriteTx) -> list[tuple[RoomId, UserId, int]]:
            going_on = []
            for room_id, user_id in ended:
                until_ts = await self._people.find_typing_until(tx, room_id, user_id)
                if until_ts > now:
                    going_on.append((room_id, user_id, until_ts))
                elif until_ts:
                    await self._change(tx, room_id, user_id, 0)
            return going_on

        for room_id, user_id, until_ts in await self._db.write(recipe):
            self._typing.extend(room_id, user_id, until_ts)

    async def _change(self, tx: WriteTx, room_id: RoomId, user_id: UserId, until_ts: int) -> None:
        changed = TypingChanged(tx.next_position(), room_id, user_id, until_ts)
        await self._people.set_typing(tx, changed)
        tx.emit(changed)
