"""Follows what is committed and queues what is to be pushed: all of it once, crashes included.

Only members with pushers are judged, by the same rules as the unread counts.
Who has pushers is kept in memory; while nobody has, nothing happens here. Of
several processes one pushes: whoever has claimed it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from tidings.protocol.errors import StorageUnavailable
from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, StreamPosition, UserId
from tidings.rules import push
from tidings.rules.push_conditions import Recipient, RoomContext
from tidings.rules.stream import Change, EventAppended, PushersChanged, ReceiptMoved
from tidings.server.live.feed import Feed
from tidings.server.live.rooms import MEMBER, Room, Rooms, display_name_of
from tidings.server.live.users import READ_RECEIPTS, Users, default_rules_of
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.pushers import PusherStore
from tidings.server.storage.pushes import Draft, PushStore

BATCH_MAX = 500
"""Changes that are looked at before what they give is queued."""
CHECKPOINT_EVERY = 1_000
"""Positions after which the checkpoint is moved though nothing was queued."""
ROOMS_MAX = 2_000
"""Rooms of which memory knows who has pushers."""


class PushQueue:
    """Queues pushes."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        feed: Feed,
        rooms: Rooms,
        users: Users,
        pushers: PusherStore,
        pushes: PushStore,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._feed = feed
        self._rooms = rooms
        self._users = users
        self._pushers = pushers
        self._pushes = pushes
        self._now_ms = now_ms
        self._position = 0
        self._saved = 0
        self._is_mine = False
        self._shown: dict[UserId, int] = {}
        """Who has pushers, and after which position they may show a count; 0: they show none."""
        self._in_rooms: OrderedDict[RoomId, tuple[UserId, ...]] = OrderedDict()
        """Members who have pushers."""
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Read who has pushers; before anything is watched."""
        async with self._db.read() as tx:
            await self._load(tx)
        self._position = self._feed.position
        self._news.set()

    def watch(self, changes: Sequence[Change]) -> None:
        """Take notice of a commit; the work is left to `fill`."""
        for change in changes:
            if isinstance(change, PushersChanged):
                # Already now, so that no event after it is passed over.
                self._shown.setdefault(change.user_id, 0)
        if self._shown:
            self._news.set()
        elif changes:
            self._position = changes[-1].position

    def wake(self) -> None:
        """Have it looked again."""
        self._news.set()

    async def wait(self) -> None:
        """Until there is something to look at."""
        await self._news.wait()
        self._news.clear()

    async def fill(self) -> list[int]:
        """Queue all there is; the pushers it is for."""
        due: set[int] = set()
        if not self._shown:
            return []
        if not self._is_mine:
            due.update(await self._claim())
        while self._is_mine and self._position < self._feed.position:
            changes, upto = await self._next_changes()
            async with self._db.read() as tx:
                drafts = await self._judge_all(tx, changes)
            due.update(await self._save(drafts, upto))
        return sorted(due)

    @property
    def is_waiting_for_turn(self) -> bool:
        """Whether another process pushes."""
        return bool(self._shown) and not self._is_mine

    def told(self, user_id: UserId, position: int) -> None:
        """A user's apps show no count any more, as of a position."""
        if self._shown.get(user_id, 0) <= position:
            self._shown[user_id] = 0

    async def close(self) -> None:
        """Move the checkpoint to where this process stops."""
        if self._is_mine and self._saved < self._position:
            with suppress(StorageUnavailable):  # then the next start looks at more of them
                await self._save([], self._position, at_once=True)

    async def _claim(self) -> list[int]:
        """Become the process that pushes; the pushers for which something waits already."""

        async def recipe(tx: WriteTx) -> tuple[int, int, list[int]] | None:
            if not await self._pushes.claim(tx, self._db.kind):
                return None
            first = await self._pushers.first_id(tx)
            return await self._pushes.checkpoint(tx), first, await self._pushes.all_waiting(tx)

        claimed = await self._db.write(recipe)
        if claimed is None:
            return []
        saved, first, waiting = claimed
        self._is_mine = True
        # Nothing is pushed that was before the first pusher.
        self._position = max(saved, first)
        self._saved = saved
        return waiting

    async def _load(self, tx: ReadTx) -> None:
        position = await tx.snapshot_position()
        for user_id, badge in await self._pushers.badges(tx):
            self._shown[user_id] = position if badge else 0
        self._in_rooms.clear()

    async def _next_changes(self) -> tuple[Sequence[Change], int]:
        """The next changes, and up to where they go."""
        if self._position >= self._feed.floor:
            changes = self._feed.after(self._position)[:BATCH_MAX]
            if len(changes) < BATCH_MAX:
                return changes, self._feed.position
            return changes, changes[-1].position
        upto = min(self._position + CHECKPOINT_EVERY, self._feed.position)
        async with self._db.read() as tx:
            await self._load(tx)  # memory was begun anew: changes of pushers may have been missed
            read = self._db.read_changes
            found = await read(tx, self._position, upto) if read else None
        return found or [], upto

    async def _judge_all(self, tx: ReadTx, changes: Sequence[Change]) -> list[Draft]:
        drafts: list[Draft] = []
        readers: dict[UserId, StreamPosition] = {}
        for change in changes:
            match change:
                case PushersChanged():
                    await self._refresh(tx, change.user_id)
                case EventAppended():
                    drafts += await self._judge(tx, change.event)
                    readers[change.event.sender] = change.position
                case ReceiptMoved() if change.receipt_type in READ_RECEIPTS:
                    readers[change.user_id] = change.position
        for draft in drafts:
            self._shown[draft.user_id] = max(self._shown.get(draft.user_id, 0), draft.position)
        drafts += [
            Draft(user_id, position, None)
            for user_id, position in readers.items()
            if self._shown.get(user_id)
        ]
        return drafts

    async def _refresh(self, tx: ReadTx, user_id: UserId) -> None:
        badge = await self._pushers.badge_of(tx, user_id)
        if badge is None:
            self._shown.pop(user_id, None)
        else:
            self._shown.setdefault(user_id, 0)
        self._in_rooms.clear()

    async def _judge(self, tx: ReadTx, event: Event) -> list[Draft]:
        """Whom of those with pushers the event notifies, and how."""
        if event.type == MEMBER:
            self._in_rooms.pop(event.room_id, None)
        room = await self._rooms.load(tx, event.room_id)
        if room is None or event.redacted_by is not None:
            return []
        candidates = self._candidates(room)
        target = UserId(event.state_key or "") if event.type == MEMBER else None
        if target in self._shown and target not in candidates:
            candidates = (*candidates, target)  # somebody is invited
        return self._judge_for(event, room, candidates) if candidates else []

    def _judge_for(self, event: Event, room: Room, candidates: tuple[UserId, ...]) -> list[Draft]:
        levels = room.power_levels
        context = RoomContext(len(room.joined), levels.of(event.sender), levels.notification())
        named = {*(push.mentioned(event) or ()), event.state_key}
        drafts: list[Draft] = []
        ordinary: push.Actions | None = None
        for user_id in candidates:
            if user_id == event.sender or self._users.is_ignored(event.sender, by=user_id):
                continue
            rules = self._users.rules_of(user_id)
            if rules is None and user_id not in named:
                # The default rules judge alike for all whom the event does not name.
                ordinary = ordinary or _evaluate(event, room, context, user_id, None)
                actions = ordinary
            else:
                actions = _evaluate(event, room, context, user_id, rules)
            if actions.notify:
                tweaks = msgspec.json.encode(actions.tweaks())
                drafts.append(Draft(user_id, event.position, tweaks))
        return drafts

    def _candidates(self, room: Room) -> tuple[UserId, ...]:
        known = self._in_rooms.get(room.room_id)
        if known is not None:
            self._in_rooms.move_to_end(room.room_id)
            return known
        if len(self._shown) < len(room.joined):
            found = tuple(user_id for user_id in self._shown if user_id in room.joined)
        else:
            found = tuple(user_id for user_id in room.joined if user_id in self._shown)
        self._in_rooms[room.room_id] = found
        if len(self._in_rooms) > ROOMS_MAX:
            self._in_rooms.popitem(last=False)
        return found

    async def _save(
        self, drafts: Sequence[Draft], upto: int, *, at_once: bool = False
    ) -> list[int]:
        if not drafts and not at_once and upto - self._saved < CHECKPOINT_EVERY:
            self._position = upto
            return []

        async def recipe(tx: WriteTx) -> list[int] | None:
            if not await self._pushes.claim(tx, self._db.kind):
                return None
            pusher_ids = await self._pushes.add(tx, drafts, self._now_ms())
            await self._pushes.trim(tx, pusher_ids)
            await self._pushes.set_checkpoint(tx, upto)
            return pusher_ids

        queued = await self._db.write(recipe)
        if queued is None:  # the connection was lost, and with it the turn
            self._is_mine = False
            return []
        self._position = self._saved = upto
        return queued


def _evaluate(
    event: Event,
    room: Room,
    context: RoomContext,
    user_id: UserId,
    rules: push.Ruleset | None,
) -> push.Actions:
    member = Recipient(user_id, display_name_of(room.get(MEMBER, user_id)))
    return push.evaluate(event, rules or default_rules_of(user_id), member, context)
