"""The state of a room at an earlier point of its history.

Most of a room's state has held for long: what memory holds now is taken for
every key that has not changed since, and only the others are read.
"""

from collections.abc import Collection, Sequence

from tidings.protocol.events import Event
from tidings.protocol.ids import UserId
from tidings.server.live.rooms import MEMBER, Room, StateKey
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import EventStore

KEYS_READ_MAX = 200
"""Beyond so many changed keys the state of all is read at once."""


class PastState:
    """Reads state as of a position."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    async def at(
        self, tx: ReadTx, room: Room, position: int, members: Collection[UserId] | None = None
    ) -> list[Event]:
        """The state at a position; of the members only some, where they are given."""
        keys: list[StateKey] = list(room.state)
        if members is not None:
            keys = [key for key in keys if key[0] != MEMBER]
            keys += [(MEMBER, user_id) for user_id in members]
        return await self.keys_at(tx, room, keys, position)

    async def keys_at(
        self, tx: ReadTx, room: Room, keys: Sequence[StateKey], position: int
    ) -> list[Event]:
        """The state events that some keys had at a position."""
        held: list[Event] = []
        changed: list[StateKey] = []
        for key in keys:
            event = room.state.get(key)
            if event is None:
                continue
            if event.position <= position:
                held.append(event)
            elif event.replaces is not None:
                changed.append(key)
        if len(changed) > KEYS_READ_MAX:
            wanted = set(changed)
            state = await self._events.state_at(tx, room.room_id, position)
            return held + [e for e in state if (e.type, e.state_key) in wanted]
        return held + await self._events.state_of_keys_at(tx, room.room_id, changed, position)
