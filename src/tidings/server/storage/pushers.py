"""Pushers: which gateways are told of a user's notifications, and for which of their devices.

A pusher's id is the position it was made at: nothing before it is pushed to it.
"""

import msgspec

from tidings.protocol.ids import DeviceId, StreamPosition, UserId
from tidings.rules.stream import PushersChanged
from tidings.server.storage.database import ReadTx, WriteTx

CHANGES_KEPT = 1_000_000
"""Positions for which changes are remembered: no process falls that far behind."""

_PUSHER = (
    "SELECT pusher_id, user_id, app_id, pushkey, kind, app_display_name, device_display_name,"
    " profile_tag, lang, data, set_ts, badge FROM pushers"
)


class Pusher(msgspec.Struct, frozen=True, array_like=True):
    """One way of reaching a user."""

    pusher_id: StreamPosition
    user_id: UserId
    app_id: str
    pushkey: str
    kind: str
    app_display_name: str
    device_display_name: str
    profile_tag: str | None
    lang: str
    data: bytes
    """A JSON object, with the address of the gateway as `url`."""
    set_ts: int
    """When the pushkey was last set, in milliseconds."""
    badge: int = 0
    """The last count of unread messages that the gateway was told."""


class PusherStore:
    """Verbs on pushers."""

    async def set(self, tx: WriteTx, pusher: Pusher, device_id: DeviceId) -> None:
        """Make a pusher, or change the one of the same app and pushkey, which keeps its id."""
        await tx.execute(
            "INSERT INTO pushers (pusher_id, user_id, app_id, pushkey, kind, app_display_name,"
            " device_display_name, profile_tag, lang, data, set_ts, device_id)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (user_id, app_id, pushkey) DO UPDATE SET"
            " kind = excluded.kind, app_display_name = excluded.app_display_name,"
            " device_display_name = excluded.device_display_name,"
            " profile_tag = excluded.profile_tag, lang = excluded.lang, data = excluded.data,"
            " set_ts = excluded.set_ts, device_id = excluded.device_id",
            pusher.pusher_id, pusher.user_id, pusher.app_id, pusher.pushkey, pusher.kind,
            pusher.app_display_name, pusher.device_display_name, pusher.profile_tag, pusher.lang,
            pusher.data, pusher.set_ts, device_id,
        )  # fmt: skip
        await _note_change(tx, pusher.user_id)

    async def delete(self, tx: WriteTx, pusher: Pusher) -> None:
        """End a pusher, with what waits to be pushed to it."""
        await tx.execute("DELETE FROM pushes WHERE pusher_id = ?", pusher.pusher_id)
        await tx.execute("DELETE FROM pushers WHERE pusher_id = ?", pusher.pusher_id)
        await _note_change(tx, pusher.user_id)

    async def of(self, tx: ReadTx, user_id: UserId) -> list[Pusher]:
        """A user's pushers."""
        return await tx.fetch(Pusher, f"{_PUSHER} WHERE user_id = ? ORDER BY pusher_id", user_id)

    async def with_key(self, tx: ReadTx, app_id: str, pushkey: str) -> list[Pusher]:
        """The pushers of an app and a pushkey, whosever they are."""
        return await tx.fetch(
            Pusher, f"{_PUSHER} WHERE app_id = ? AND pushkey = ?", app_id, pushkey
        )

    async def find(self, tx: ReadTx, pusher_id: int) -> Pusher | None:
        """A pusher by its id."""
        return await tx.find(Pusher, f"{_PUSHER} WHERE pusher_id = ?", pusher_id)

    async def first_id(self, tx: ReadTx) -> int:
        """The id of the oldest pusher; 0 when there is none."""
        return await tx.find_value(int, "SELECT min(pusher_id) FROM pushers") or 0

    async def badges(self, tx: ReadTx) -> list[tuple[UserId, int]]:
        """Everybody who has a pusher, and the highest count that one of theirs shows."""
        return await tx.scan(
            tuple[UserId, int], "SELECT user_id, max(badge) FROM pushers GROUP BY user_id"
        )

    async def badge_of(self, tx: ReadTx, user_id: UserId) -> int | None:
        """The highest count that a pusher of a user shows; None if they have no pusher."""
        return await tx.find_value(int, "SELECT max(badge) FROM pushers WHERE user_id = ?", user_id)

    async def changed(self, tx: ReadTx, after: int, upto: int) -> list[PushersChanged]:
        """Users whose pushers changed in (after, upto]."""
        return await tx.scan(
            PushersChangedRow,
            "SELECT position, user_id FROM pusher_changes WHERE position > ? AND position <= ?",
            after, upto,
        )  # fmt: skip


async def delete_device_pushers(tx: WriteTx, user_id: UserId, device_id: DeviceId) -> None:
    """End the pushers that a session made, with the session."""
    own = "user_id = ? AND device_id = ?"
    await tx.execute(
        f"DELETE FROM pushes WHERE pusher_id IN (SELECT pusher_id FROM pushers WHERE {own})",
        user_id, device_id,
    )  # fmt: skip
    if await tx.execute(f"DELETE FROM pushers WHERE {own}", user_id, device_id):
        await _note_change(tx, user_id)


async def _note_change(tx: WriteTx, user_id: UserId) -> None:
    position = tx.next_position()
    await tx.execute(
        "INSERT INTO pusher_changes (user_id, position) VALUES (?,?)"
        " ON CONFLICT (user_id) DO UPDATE SET position = excluded.position",
        user_id, position,
    )  # fmt: skip
    await tx.execute("DELETE FROM pusher_changes WHERE position < ?", position - CHANGES_KEPT)
    tx.emit(PushersChanged(position, user_id))


class PushersChangedRow(PushersChanged, frozen=True, array_like=True):
    """The change, read from a row."""
