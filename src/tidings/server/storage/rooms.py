"""Rooms, their current state and members, their aliases."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomAlias, RoomId, StreamPosition, UserId
from tidings.server.storage.database import ReadTx, WriteTx


class RoomRow(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a room besides its history."""

    room_id: RoomId
    version: str
    creator: UserId
    created_ts: int
    published: int


class MembershipRow(msgspec.Struct, frozen=True, array_like=True):
    """A user's place in a room."""

    room_id: RoomId
    membership: str
    position: StreamPosition
    entered: StreamPosition
    """Where the present membership began; profile changes do not move it."""
    forgotten: int


class RoomStore:
    """Verbs on rooms, state, members and aliases."""

    async def insert(self, tx: WriteTx, room: RoomRow) -> None:
        """Note a new room."""
        await tx.execute(
            "INSERT INTO rooms (room_id, version, creator, created_ts, published)"
            " VALUES (?,?,?,?,?)",
            room.room_id, room.version, room.creator, room.created_ts, room.published,
        )  # fmt: skip

    async def find(self, tx: ReadTx, room_id: RoomId) -> RoomRow | None:
        """A room by its id."""
        sql = "SELECT room_id, version, creator, created_ts, published FROM rooms WHERE room_id = ?"
        return await tx.find(RoomRow, sql, room_id)

    async def set_published(self, tx: WriteTx, room_id: RoomId, *, published: bool) -> None:
        """List the room in the directory, or stop listing it."""
        sql = "UPDATE rooms SET published = ? WHERE room_id = ?"
        await tx.execute(sql, int(published), room_id)

    async def published(self, tx: ReadTx) -> list[RoomId]:
        """Every room listed in the directory."""
        rows = await tx.scan(tuple[RoomId], "SELECT room_id FROM rooms WHERE published = 1")
        return [room_id for (room_id,) in rows]

    async def set_state(self, tx: WriteTx, event: Event) -> None:
        """Let the event be what holds for its type and state key."""
        await tx.execute(
            "INSERT INTO state (room_id, type, state_key, position) VALUES (?,?,?,?)"
            " ON CONFLICT (room_id, type, state_key) DO UPDATE SET position = excluded.position",
            event.room_id, event.type, event.state_key, event.position,
        )  # fmt: skip

    async def set_member(self, tx: WriteTx, event: Event, membership: str) -> None:
        """Let the member event be the user's place in the room."""
        await tx.execute(
            "INSERT INTO members (user_id, room_id, membership, position, entered, forgotten)"
            " VALUES (?,?,?,?,?,0) ON CONFLICT (user_id, room_id) DO UPDATE SET"
            " entered = CASE WHEN members.membership = excluded.membership"
            " THEN members.entered ELSE excluded.entered END,"
            " forgotten = CASE WHEN members.membership = excluded.membership"
            " THEN members.forgotten ELSE 0 END,"
            " membership = excluded.membership, position = excluded.position",
            event.state_key, event.room_id, membership, event.position, event.position,
        )  # fmt: skip

    async def set_forgotten(
        self, tx: WriteTx, user_id: UserId, room_id: RoomId, position: StreamPosition
    ) -> None:
        """Leave a room out of what the user is shown."""
        await tx.execute(
            "UPDATE members SET forgotten = ? WHERE user_id = ? AND room_id = ?",
            position, user_id, room_id,
        )  # fmt: skip

    async def memberships(self, tx: ReadTx, user_id: UserId) -> list[MembershipRow]:
        """Every room the user is or was in."""
        return await tx.scan(
            MembershipRow,
            "SELECT room_id, membership, position, entered, forgotten FROM members"
            " WHERE user_id = ?",
            user_id,
        )

    async def find_membership(
        self, tx: ReadTx, user_id: UserId, room_id: RoomId
    ) -> MembershipRow | None:
        """The user's place in a room, if they ever had one."""
        return await tx.find(
            MembershipRow,
            "SELECT room_id, membership, position, entered, forgotten FROM members"
            " WHERE user_id = ? AND room_id = ?",
            user_id, room_id,
        )  # fmt: skip

    async def guests_in(self, tx: ReadTx, room_id: RoomId) -> list[UserId]:
        """The members of a room whose accounts are those of guests."""
        rows = await tx.scan(
            tuple[UserId],
            "SELECT m.user_id FROM members m JOIN users u ON u.user_id = m.user_id"
            " WHERE m.room_id = ? AND m.membership = 'join' AND u.is_guest = 1",
            room_id,
        )
        return [user_id for (user_id,) in rows]

    async def is_joined_to_any(
        self, tx: ReadTx, user_id: UserId, room_ids: Sequence[RoomId]
    ) -> bool:
        """Whether the user is in one of the rooms."""
        sql = (
            "SELECT 1 FROM members WHERE user_id = ? AND membership = 'join'"
            f" AND room_id IN ({','.join('?' * len(room_ids))}) LIMIT 1"
        )
        return await tx.find_value(int, sql, user_id, *room_ids) is not None

    async def shared(self, tx: ReadTx, user_id: UserId, other: UserId) -> list[RoomId]:
        """The rooms that both users are in, in the order of their ids."""
        rows = await tx.scan(
            tuple[RoomId],
            "SELECT a.room_id FROM members a JOIN members b ON b.room_id = a.room_id"
            " WHERE a.user_id = ? AND a.membership = 'join' AND b.user_id = ?"
            " AND b.membership = 'join'",
            user_id, other,
        )  # fmt: skip
        return sorted(room_id for (room_id,) in rows)

    async def forgotten(
        self, tx: ReadTx, after: int, upto: int
    ) -> list[tuple[StreamPosition, UserId, RoomId]]:
        """Rooms forgotten in (after, upto]."""
        return await tx.scan(
            tuple[StreamPosition, UserId, RoomId],
            "SELECT forgotten, user_id, room_id FROM members WHERE forgotten > ?"
            " AND forgotten <= ?",
            after, upto,
        )  # fmt: skip

    async def insert_alias(
        self, tx: WriteTx, alias: RoomAlias, room_id: RoomId, creator: UserId, now_ms: int
    ) -> bool:
        """Point an alias at a room; False when it is taken."""
        done = await tx.execute(
            "INSERT INTO aliases (alias, room_id, creator, created_ts) VALUES (?,?,?,?)"
            " ON CONFLICT (alias) DO NOTHING",
            alias, room_id, creator, now_ms,
        )  # fmt: skip
        return done > 0

    async def delete_alias(self, tx: WriteTx, alias: RoomAlias) -> None:
        """Let the alias be free."""
        await tx.execute("DELETE FROM aliases WHERE alias = ?", alias)

    async def move_aliases(self, tx: WriteTx, old: RoomId, new: RoomId) -> None:
        """Point every alias of a room at another."""
        await tx.execute("UPDATE aliases SET room_id = ? WHERE room_id = ?", new, old)

    async def find_alias(self, tx: ReadTx, alias: RoomAlias) -> tuple[RoomId, UserId] | None:
        """The room an alias points at, and who made the alias."""
        sql = "SELECT room_id, creator FROM aliases WHERE alias = ?"
        return await tx.find(tuple[RoomId, UserId], sql, alias)

    async def aliases_of(self, tx: ReadTx, room_id: RoomId) -> Sequence[RoomAlias]:
        """The local aliases of a room."""
        sql = "SELECT alias FROM aliases WHERE room_id = ? ORDER BY alias"
        return [alias for (alias,) in await tx.fetch(tuple[RoomAlias], sql, room_id)]
