"""The published rooms, read without their members."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId
from tidings.rules.public_rooms import Listed
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import placeholders

_TYPES = (
    "m.room.create", "m.room.name", "m.room.topic", "m.room.avatar", "m.room.canonical_alias",
    "m.room.join_rules", "m.room.history_visibility", "m.room.guest_access",
)  # fmt: skip
ROOMS_AT_ONCE = 500


class _Content(msgspec.Struct):
    content: JsonObject


_decode = msgspec.json.Decoder(_Content).decode


class RoomListStore:
    """Reads the list of published rooms."""

    async def listed(self, tx: ReadTx) -> list[Listed]:
        """Every published room that has members, the largest first."""
        rows = await tx.scan(
            tuple[RoomId, int],
            "SELECT r.room_id, count(*) FROM rooms r JOIN members m ON m.room_id = r.room_id"
            " WHERE r.published = 1 AND m.membership = 'join' GROUP BY r.room_id",
        )
        return sorted((Listed(*row) for row in rows), key=lambda room: room.place)

    async def state(
        self, tx: ReadTx, rooms: Sequence[Listed]
    ) -> Mapping[RoomId, Mapping[str, JsonObject]]:
        """The contents of what describes the rooms, by room and type."""
        state: dict[RoomId, dict[str, JsonObject]] = defaultdict(dict)
        for start in range(0, len(rooms), ROOMS_AT_ONCE):
            ids = [room.room_id for room in rooms[start : start + ROOMS_AT_ONCE]]
            rows = await tx.scan(
                tuple[RoomId, str, bytes],
                "SELECT s.room_id, s.type, e.json FROM state s"
                " JOIN events e ON e.position = s.position WHERE s.state_key = ''"
                f" AND s.type IN ({placeholders(len(_TYPES))})"
                f" AND s.room_id IN ({placeholders(len(ids))})",
                *_TYPES, *ids,
            )  # fmt: skip
            for room_id, type_, json in rows:
                state[room_id][type_] = _decode(json).content
        return state
