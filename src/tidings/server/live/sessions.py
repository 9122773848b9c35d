"""Who holds which access token, in memory: the check that every request passes.

An entry is read when its token is first used and dropped when a change says
that its device's tokens are no longer what they were. A change that comes
while an entry is being read keeps it from being held: it may be older.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

import msgspec

from tidings.protocol.errors import StorageUnavailable, UnknownToken, UserLocked
from tidings.protocol.ids import DeviceId, UserId
from tidings.rules.stream import Change, SessionChanged
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.devices import DeviceStore, HolderRow, Sighting

log = logging.getLogger("tidings.sessions")

SESSIONS_MAX = 20_000
"""Tokens held in memory; beyond it the longest unused go."""
FLUSH_INTERVAL_S = 60.0


class Requester(msgspec.Struct, frozen=True):
    """Who is asking: the proof that a token was checked."""

    user_id: UserId
    device_id: DeviceId
    is_guest: bool = False
    is_admin: bool = False
    token_hash: bytes = b""
    is_suspended: bool = False
    """Whether they may read, leave and redact what is theirs, but say nothing."""


def hash_token(token: str) -> bytes:
    """What is kept of a token; tokens are long and random, so a plain hash gives nothing away."""
    return sha256(token.encode("utf-8", "replace")).digest()


class _Entry:
    __slots__ = ("address", "expires_ts", "is_locked", "is_noted", "requester", "seen_ts")

    def __init__(self, row: HolderRow, token_hash: bytes) -> None:
        self.requester = Requester(
            row.user_id, row.device_id, bool(row.is_guest), bool(row.is_admin), token_hash,
            bool(row.suspended),
        )  # fmt: skip
        self.expires_ts = row.expires_ts
        self.is_locked = bool(row.locked)
        self.seen_ts = 0
        self.address = ""
        self.is_noted = False


class Sessions:
    """The tokens in use, and when each device was last seen."""

    def __init__(
        self,
        db: Database,
        devices: DeviceStore,
        now_ms: Callable[[], int],
        held_max: int = SESSIONS_MAX,
    ) -> None:
        self._db = db
        self._held_max = held_max
        self._devices = devices
        self._now_ms = now_ms
        self._held: OrderedDict[bytes, _Entry] = OrderedDict()
        self._by_device: dict[tuple[UserId, DeviceId], set[bytes]] = {}
        self._followers: dict[tuple[UserId, DeviceId], set[Callable[[], None]]] = {}
        self._changes = 0
        self._seen: list[_Entry] = []
        self._flusher: asyncio.Task[None] | None = None

    def held(self, token: str, address: str) -> Requester | None:
        """Who holds the token, if memory knows that it is good; a refusal is found elsewhere."""
        entry = self._held.get(hash_token(token))
        now = self._now_ms()
        if entry is None or entry.is_locked:
            return None
        if entry.expires_ts is not None and entry.expires_ts <= now:
            return None
        self._note_seen(entry, now, address)
        return entry.requester

    async def requester_of(self, token: str, address: str = "") -> Requester:
        """Who holds the token; raises UnknownToken and UserLocked."""
        entry = await self._entry(token, address)
        if entry.is_locked:
            raise UserLocked("This account has been locked", soft_logout=True)
        return entry.requester

    async def holder_of(self, token: str, address: str = "") -> Requester:
        """Who holds the token, locked or not: whoever is locked may still log out."""
        return (await self._entry(token, address)).requester

    async def _entry(self, token: str, address: str) -> _Entry:
        token_hash = hash_token(token)
        entry = self._held.get(token_hash)
        if entry is None:
            entry = await self._load(token_hash)
        else:
            self._held.move_to_end(token_hash)
        now = self._now_ms()
        if entry.expires_ts is not None and entry.expires_ts <= now:
            raise UnknownToken("The access token has expired", soft_logout=True)
        self._note_seen(entry, now, address)
        return entry

    def _note_seen(self, entry: _Entry, now: int, address: str) -> None:
        entry.seen_ts = now
        entry.address = address
        if not entry.is_noted:
            entry.is_noted = True
            self._seen.append(entry)

    async def _load(self, token_hash: bytes) -> _Entry:
        changes = self._changes
        async with self._db.read() as tx:
            row = await self._devices.find_holder(tx, token_hash)
        if row is None:
            raise UnknownToken("Unknown access token", soft_logout=False)
        if row.replaces is not None:
            await self._revoke_replaced(row, row.replaces)
        entry = _Entry(row, token_hash)
        if changes == self._changes:
            self._hold(token_hash, entry)
        return entry

    async def _revoke_replaced(self, row: HolderRow, replaced: bytes) -> None:
        async def recipe(tx: WriteTx) -> None:
            await self._devices.revoke_replaced(tx, row.user_id, row.device_id, replaced)

        await self._db.write(recipe)

    def _hold(self, token_hash: bytes, entry: _Entry) -> None:
        self._held[token_hash] = entry
        key = (entry.requester.user_id, entry.requester.device_id)
        self._by_device.setdefault(key, set()).add(token_hash)
        if len(self._held) > self._held_max:
            longest_unused, old = self._held.popitem(last=False)
            self._forget(longest_unused, old)

    def _forget(self, token_hash: bytes, entry: _Entry) -> None:
        key = (entry.requester.user_id, entry.requester.device_id)
        hashes = self._by_device.get(key, set())
        hashes.discard(token_hash)
        if not hashes:
            self._by_device.pop(key, None)

    def apply(self, change: Change) -> None:
        """Take up a committed change; all but those of sessions are none of ours."""
        if not isinstance(change, SessionChanged):
            return
        self._changes += 1
        for token_hash in self._by_device.pop((change.user_id, change.device_id), ()):
            self._held.pop(token_hash, None)
        for follower in tuple(self._followers.get((change.user_id, change.device_id), ())):
            follower()

    def follow(self, device: tuple[UserId, DeviceId], changed: Callable[[], None]) -> None:
        """Call whenever the session of a device has changed."""
        self._followers.setdefault(device, set()).add(changed)

    def unfollow(self, device: tuple[UserId, DeviceId], changed: Callable[[], None]) -> None:
        """Call no more."""
        followers = self._followers.get(device, set())
        followers.discard(changed)
        if not followers:
            self._followers.pop(device, None)

    def clear(self) -> None:
        """Forget everything; it will be read again."""
        self._changes += 1
        self._held.clear()
        self._by_device.clear()

    def start(self) -> None:
        """Begin to write down, once a minute, when devices were seen."""
        self._flusher = asyncio.create_task(self._flush_often(), name="last seen")

    async def close(self) -> None:
        """Write down what is left."""
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
        await self.flush()

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL_S)
            await self.flush()

    async def flush(self) -> None:
        """Write down when devices were seen; nothing is written when nobody came."""
        if not self._seen:
            return
        seen, self._seen = self._seen, []
        latest: dict[tuple[UserId, DeviceId], Sighting] = {}
        for entry in sorted(seen, key=lambda entry: entry.seen_ts):
            entry.is_noted = False
            who = entry.requester
            sighting = Sighting(who.user_id, who.device_id, entry.seen_ts, entry.address)
            latest[who.user_id, who.device_id] = sighting

        async def recipe(tx: WriteTx) -> None:
            await self._devices.note_seen(tx, list(latest.values()))

        try:
            await self._db.write(recipe)
        except StorageUnavailable as error:
            # It is only a courtesy to the user; the next minute will tell again.
            log.warning("sessions.flush_failed error=%s", error.message)
