"""Who is typing where, as the changes say."""

from tidings.protocol.ids import RoomId, UserId
from tidings.rules.stream import TypingChanged


class Typing:
    """Typing users of each room."""

    def __init__(self) -> None:
        self._until: dict[RoomId, dict[UserId, int]] = {}

    def apply(self, change: TypingChanged) -> None:
        """Take up that a user started or stopped."""
        users = self._until.setdefault(change.room_id, {})
        if change.until_ts:
            users[change.user_id] = change.until_ts
        else:
            users.pop(change.user_id, None)
        if not users:
            del self._until[change.room_id]

    def users_in(self, room_id: RoomId) -> list[UserId]:
        """Who types in the room."""
        return list(self._until.get(room_id, ()))

    def until(self, room_id: RoomId, user_id: UserId) -> int:
        """When a user's typing ends; 0 when they do not type."""
        return self._until.get(room_id, {}).get(user_id, 0)

    def ended(self, now_ms: int) -> list[tuple[RoomId, UserId]]:
        """Those whose time is over and who have not said so."""
        return [
            (room_id, user_id)
            for room_id, users in self._until.items()
            for user_id, until in users.items()
            if until <= now_ms
        ]

    @property
    def is_quiet(self) -> bool:
        """Whether nobody types anywhere."""
        return not self._until
