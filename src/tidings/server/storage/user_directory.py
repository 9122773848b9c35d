"""Finding people by their names.

A substring has no index that both databases share; a scan of one short column
is bounded by the number of local accounts, and runs off the event loop.
"""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import placeholders


class _Content(msgspec.Struct):
    content: JsonObject


_decode = msgspec.json.Decoder(_Content).decode


class UserDirectoryStore:
    """Questions about who can be found."""

    async def search(
        self, tx: ReadTx, searcher: UserId, words: Sequence[str], limit: int
    ) -> list[UserId]:
        """People whose names hold all of the words; first those whose names begin so."""
        containing = " AND ".join(["search_text LIKE ? ESCAPE '!'"] * len(words))
        escaped = [_escaped(word) for word in words]
        rows = await tx.scan(
            tuple[UserId],
            f"SELECT user_id FROM users WHERE deactivated = 0 AND is_guest = 0 AND user_id <> ?"
            f" AND {containing} ORDER BY CASE WHEN search_text LIKE ? ESCAPE '!' THEN 0"
            " WHEN search_text LIKE ? ESCAPE '!' THEN 1 ELSE 2 END, user_id LIMIT ?",
            searcher,
            *(f"%{word}%" for word in escaped),
            f"\n{escaped[0]}",
            f"%\n{escaped[0]}%",
            limit,
        )
        return [user_id for (user_id,) in rows]

    async def sharing_rooms(
        self, tx: ReadTx, searcher: UserId, candidates: Sequence[UserId]
    ) -> set[UserId]:
        """Those of the candidates who are in a room with the searcher."""
        rows = await tx.scan(
            tuple[UserId],
            "SELECT DISTINCT o.user_id FROM members m JOIN members o ON o.room_id = m.room_id"
            " AND o.membership = 'join' WHERE m.user_id = ? AND m.membership = 'join'"
            f" AND o.user_id IN ({placeholders(len(candidates))})",
            searcher, *candidates,
        )  # fmt: skip
        return {user_id for (user_id,) in rows}

    async def rooms_of(
        self, tx: ReadTx, candidates: Sequence[UserId]
    ) -> list[tuple[UserId, RoomId]]:
        """The rooms that the candidates have joined."""
        return await tx.scan(
            tuple[UserId, RoomId],
            "SELECT user_id, room_id FROM members WHERE membership = 'join'"
            f" AND user_id IN ({placeholders(len(candidates))})",
            *candidates,
        )

    async def doors_of_rooms(
        self, tx: ReadTx, candidates: Sequence[UserId]
    ) -> list[tuple[RoomId, JsonObject]]:
        """Join rules and history visibility of the rooms that the candidates have joined."""
        rows = await tx.scan(
            tuple[RoomId, bytes],
            "SELECT s.room_id, e.json FROM state s JOIN events e ON e.position = s.position"
            " WHERE s.type IN ('m.room.join_rules', 'm.room.history_visibility')"
            " AND s.state_key = '' AND s.room_id IN (SELECT room_id FROM members"
            f" WHERE membership = 'join' AND user_id IN ({placeholders(len(candidates))}))",
            *candidates,
        )
        return [(room_id, _decode(json).content) for room_id, json in rows]


def _escaped(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
