"""Rooms as they are shown to those who may join them: summaries, and the tree of a space."""

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, NotFound
from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.restricted_joins import allowing_rooms
from tidings.rules.room_previews import describe_room, may_preview
from tidings.rules.spaces import child_of, children_in_order, is_space
from tidings.server.live.rooms import MEMBER, Room, Rooms, membership_of
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.rooms import RoomStore

ROOMS_WALKED_MAX = 5_000
"""Rooms of one tree that are looked at; what lies beyond is not shown."""


class TreePage(msgspec.Struct, frozen=True):
    """Which part of a space's tree is asked for."""

    root: RoomId
    limit: int
    depth_max: int
    suggested_only: bool = False
    start: str | None = None

    def skipped(self) -> int:
        """How many rooms came before this page; raises InvalidParam for a token of another tree."""
        if self.start is None:
            return 0
        count, _, same = self.start.partition("~")
        if same != self._same() or not (count.isascii() and count.isdigit() and len(count) < 9):
            raise InvalidParam("from must be a token of an earlier answer to the same question")
        return int(count)

    def token(self, count: int) -> str:
        """The token of the page after so many rooms."""
        return f"{count}~{self._same()}"

    def _same(self) -> str:
        return f"{self.depth_max}~{int(self.suggested_only)}"


class RoomPreviews:
    """Shows rooms to outsiders."""

    def __init__(self, db: Database, rooms: Rooms, store: RoomStore) -> None:
        self._db = db
        self._rooms = rooms
        self._store = store

    async def summarise(self, user_id: UserId | None, room_id: RoomId) -> JsonObject:
        """The summary of a room; raises NotFound."""
        async with self._db.read() as tx:
            room = await self._find(tx, user_id, room_id)
        if room is None:
            raise NotFound("There is no such room, or it is not open to you")
        summary = describe_room(room, len(room.joined))
        member = room.get(MEMBER, user_id) if user_id else None
        if member is not None:
            summary["membership"] = membership_of(member)
        return summary

    async def tree(self, user_id: UserId, page: TreePage) -> JsonObject:
        """A page of the rooms of a space, depth first; raises Forbidden, InvalidParam."""
        skipped, walked = page.skipped(), 0
        shown: list[JsonObject] = []
        left, seen = [(page.root, 0)], set[RoomId]()
        async with self._db.read() as tx:
            while left and len(seen) < ROOMS_WALKED_MAX:
                room_id, depth = left.pop()
                if room_id in seen:
                    continue
                seen.add(room_id)
                room = await self._find(tx, user_id, room_id)
                if room is None:
                    if room_id == page.root:
                        raise Forbidden("There is no such room, or it is not open to you")
                    continue
                if len(shown) == page.limit:
                    return {"rooms": shown, "next_batch": page.token(walked)}
                children = _children(room, page)
                if depth < page.depth_max:
                    left += [(child_of(child), depth + 1) for child in reversed(children)]
                if walked >= skipped:
                    shown.append(_described(room, children))
                walked += 1
        return {"rooms": shown}

    async def _find(self, tx: ReadTx, user_id: UserId | None, room_id: RoomId) -> Room | None:
        """The room, if the user may be shown it."""
        room = await self._rooms.load(tx, room_id)
        if room is None:
            return None
        membership = membership_of(room.get(MEMBER, user_id)) if user_id else "leave"
        if may_preview(room, membership):
            return room
        allowing = allowing_rooms(room)
        if user_id is None or membership == "ban" or not allowing:
            return None
        return room if await self._store.is_joined_to_any(tx, user_id, allowing) else None


def _children(room: Room, page: TreePage) -> list[Event]:
    if not is_space(room):
        return []
    return children_in_order(room.state.values(), suggested_only=page.suggested_only)


def _described(room: Room, children: list[Event]) -> JsonObject:
    stripped = [
        {
            "type": child.type,
            "state_key": child.state_key,
            "content": child.content,
            "sender": child.sender,
            "origin_server_ts": child.origin_server_ts,
        }
        for child in children
    ]
    return {**describe_room(room, len(room.joined)), "children_state": stripped}
