"""Whose devices and keys have changed, and who is to be told of it.

Source: client-server API, "Tracking the device list for a user". Of each user
only the last change is kept: whoever asks wants to know that there was one.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

import msgspec

from tidings.protocol.ids import RoomId, StreamPosition, UserId
from tidings.rules.stream import DeviceListChanged
from tidings.server.storage.database import ReadTx, WriteTx

EVERYBODY = UserId("")
STRANGERS_AT_ONCE = 10_000
"""A statement takes some 32,000 arguments."""

_SHARES = (
    "EXISTS (SELECT 1 FROM members a JOIN members b ON b.room_id = a.room_id"
    " AND b.user_id = {other} AND b.membership = 'join'"
    " WHERE a.user_id = ? AND a.membership = 'join')"
)
"""Whether the user asked for is in a room with another."""


async def note_device_list_change(tx: WriteTx, user_id: UserId) -> None:
    """Let everybody who shares a room with a user know that their keys have changed."""
    rooms = await tx.fetch(
        tuple[RoomId],
        "SELECT room_id FROM members WHERE user_id = ? AND membership = 'join'",
        user_id,
    )
    await _note(tx, user_id, EVERYBODY, frozenset(room_id for (room_id,) in rooms))


async def note_signatures_change(tx: WriteTx, user_id: UserId, seen_by: UserId) -> None:
    """Let one user's devices know that they have signed another user's key."""
    await _note(tx, user_id, seen_by, frozenset())


async def _note(tx: WriteTx, user_id: UserId, seen_by: UserId, rooms: frozenset[RoomId]) -> None:
    position = tx.next_position()
    await tx.execute(
        "INSERT INTO device_list_changes (user_id, seen_by, position) VALUES (?,?,?)"
        " ON CONFLICT (user_id, seen_by) DO UPDATE SET position = excluded.position",
        user_id, seen_by, position,
    )  # fmt: skip
    tx.emit(DeviceListChanged(position, user_id, rooms, seen_by))


class DeviceListStore:
    """Reads the changes of device lists."""

    async def changed(self, tx: ReadTx, after: int, upto: int) -> list[DeviceListChanged]:
        """The changes in (after, upto], with the rooms their users are in now."""
        rows = await tx.scan(
            tuple[StreamPosition, UserId, UserId, RoomId | None],
            "SELECT d.position, d.user_id, d.seen_by, m.room_id FROM device_list_changes d"
            " LEFT JOIN members m ON m.user_id = d.user_id AND m.membership = 'join'"
            " AND d.seen_by = '' WHERE d.position > ? AND d.position <= ?"
            " ORDER BY d.position, d.user_id",
            after, upto,
        )  # fmt: skip
        return [
            DeviceListChanged(position, user_id, _rooms(group), seen_by)
            for (position, user_id, seen_by), group in groupby(rows, key=lambda row: row[:3])
        ]

    async def changed_for(
        self, tx: ReadTx, user_id: UserId, after: int, upto: int
    ) -> Iterable[UserId]:
        """Users sharing a room with somebody, and themselves, who changed in (after, upto]."""
        rows = await tx.scan(
            tuple[UserId],
            "SELECT d.user_id FROM device_list_changes d WHERE d.position > ? AND d.position <= ?"
            " AND (d.seen_by = ? OR (d.seen_by = '' AND (d.user_id = ?"
            f" OR {_SHARES.format(other='d.user_id')})))",
            after, upto, user_id, user_id, user_id,
        )  # fmt: skip
        return [changed for (changed,) in rows]

    async def came_and_went(
        self, tx: ReadTx, user_id: UserId, after: int
    ) -> tuple[set[UserId], set[UserId]]:
        """Others who have joined a user's rooms after a position, and who have left them."""
        rows = await tx.scan(
            tuple[UserId, str, StreamPosition | None, bytes | None],
            "SELECT o.user_id, o.membership, p.position, p.json FROM members m JOIN members o"
            " ON o.room_id = m.room_id AND o.entered > ? AND o.user_id <> m.user_id"
            " JOIN events e ON e.position = o.entered"
            " LEFT JOIN events p ON p.position = e.replaces AND o.membership <> 'join'"
            " WHERE m.user_id = ? AND m.membership = 'join'",
            after, user_id,
        )  # fmt: skip
        came = {other for other, membership, _, _ in rows if membership == "join"}
        went = {
            other
            for other, _, position, replaced in rows
            if position is not None and _membership(replaced) in _WAS_IN[position > after]
        }
        return came, went

    async def newly_met(self, tx: ReadTx, user_id: UserId, after: int) -> list[UserId]:
        """The others in rooms that a user has joined after a position."""
        rows = await tx.scan(
            tuple[UserId],
            "SELECT DISTINCT o.user_id FROM members m JOIN members o"
            " ON o.room_id = m.room_id AND o.membership = 'join' AND o.user_id <> m.user_id"
            " WHERE m.user_id = ? AND m.membership = 'join' AND m.entered > ?",
            user_id, after,
        )  # fmt: skip
        return [member for (member,) in rows]

    async def rooms_left(
        self, tx: ReadTx, user_id: UserId, after: int
    ) -> list[tuple[RoomId, StreamPosition]]:
        """The rooms that a user has left after a position, and where they did."""
        rows = await tx.scan(
            tuple[RoomId, StreamPosition, bytes],
            "SELECT m.room_id, e.position, p.json FROM members m JOIN events e"
            " ON e.room_id = m.room_id AND e.type = 'm.room.member' AND e.state_key = m.user_id"
            " AND e.position > ? JOIN events p ON p.position = e.replaces"
            " WHERE m.user_id = ? AND m.membership <> 'join' AND m.entered > ?"
            " ORDER BY e.position",
            after, user_id, after,
        )  # fmt: skip
        # Who only turns an invitation down has known nobody there.
        left = {
            room_id: position
            for room_id, position, replaced in rows
            if _membership(replaced) == "join"
        }
        return list(left.items())

    async def company_left(
        self, tx: ReadTx, rooms: Sequence[tuple[RoomId, StreamPosition]]
    ) -> set[UserId]:
        """Who was in rooms when they were left; who came later is nobody's business."""
        values = ",".join(["(?, CAST(? AS BIGINT))"] * len(rooms))
        rows = await tx.scan(
            tuple[UserId],
            f"WITH gone(room_id, position) AS (VALUES {values}) SELECT DISTINCT o.user_id"
            " FROM gone g JOIN members o ON o.room_id = g.room_id AND o.membership = 'join'"
            " AND o.entered < g.position",
            *(value for room in rooms for value in room),
        )
        return {member for (member,) in rows}

    async def strangers(self, tx: ReadTx, user_id: UserId, others: Sequence[UserId]) -> set[UserId]:
        """Those of others with whom a user is in no room."""
        found: set[UserId] = set()
        for start in range(0, len(others), STRANGERS_AT_ONCE):
            some = others[start : start + STRANGERS_AT_ONCE]
            rows = await tx.scan(
                tuple[UserId],
                f"WITH others(user_id) AS (VALUES {','.join(['(?)'] * len(some))})"
                f" SELECT o.user_id FROM others o WHERE NOT {_SHARES.format(other='o.user_id')}",
                *some, user_id,
            )  # fmt: skip
            found.update(other for (other,) in rows)
        return found


_WAS_IN = {False: ("join",), True: ("join", "leave", "ban")}
"""What somebody who left may have been before; the last steps of several tell no more."""


class _Membership(msgspec.Struct):
    membership: str = ""


class _Content(msgspec.Struct):
    content: _Membership


_decode = msgspec.json.Decoder(_Content).decode


def _membership(member: bytes | None) -> str:
    return _decode(member).content.membership if member is not None else ""


def _rooms(rows: Iterable[tuple[object, object, object, RoomId | None]]) -> frozenset[RoomId]:
    return frozenset(row[3] for row in rows if row[3] is not None)
