"""Who is typing where, as the changes say."""

import asyncio

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import TypingChanged


class Typing:
    """Typing users of each room."""

    def __init__(self) -> None:
        self._until: dict[RoomId, dict[UserId, int]] = {}
        self._changed: dict[RoomId, int] = {}
        self._somebody = asyncio.Event()

    def apply(self, change: TypingChanged) -> None:
        """Take up that a user started or stopped."""
        self._changed[change.room_id] = change.position
        users = self._until.setdefault(change.room_id, {})
        if change.until_ts:
            users[change.user_id] = change.until_ts
            self._somebody.set()
            return
        users.pop(change.user_id, None)
        if not users:
            del self._until[change.room_id]
        if not self._until:
            self._somebody.clear()

    def extend(self, room_id: RoomId, user_id: UserId, until_ts: int) -> None:
        """Take up that a user who types does so for longer; nobody need be told."""
        users = self._until.get(room_id)
        if users is not None and user_id in users:
            users[user_id] = until_ts

    def users_in(self, room_id: RoomId) -> list[UserId]:
        """Who types in the room."""
        return list(self._until.get(room_id, ()))

    def changed_at(self, room_id: RoomId) -> int:
        """The position at which anybody last started or stopped typing in the room."""
        return self._changed.get(room_id, 0)

    def ended(self, now_ms: int) -> list[tuple[RoomId, UserId]]:
        """Those whose time is over and who have not said so."""
        return [
            (room_id, user_id)
            for room_id, users in self._until.items()
            for user_id, until in users.items()
            if until <= now_ms
        ]

    async def wait_for_somebody(self) -> None:
        """Return when anybody types anywhere."""
        await self._somebody.wait()
