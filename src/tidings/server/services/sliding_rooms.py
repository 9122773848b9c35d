"""Reads what the rooms of a plan hold: out of memory where it can.

Else by a number of queries that does not depend on how many rooms there are.
Memory may be ahead of the plan: its events are cut off at the plan's position.
State is read as it is now; should it be newer, it comes once more with the
event that set it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, UserId
from tidings.rules.presentation import Bundle, View
from tidings.rules.required_state import MEMBER, Selection, select
from tidings.rules.visibility import Interval, can_see, visible_intervals
from tidings.server.live.rooms import Rooms
from tidings.server.live.users import UserView
from tidings.server.services.bundles import Bundles
from tidings.server.services.sliding_plan import RoomPlan
from tidings.server.storage.database import ReadTx
from tidings.server.storage.sliding_sync import SlidingSyncStore
from tidings.server.storage.sync import SyncStore, Window

ROOMS_AT_ONCE = 500
SHOWN_TYPES = frozenset({"m.room.name", "m.room.avatar"})
"""State that a room's result tells in members of its own."""
Key: TypeAlias = tuple[str, str | None]


class Stretch(msgspec.Struct):
    """The timeline of one room: what is shown of it."""

    found: list[Event]
    """Everything new, that nobody is shown included; one more than fits where there is more."""
    events: list[Event]
    limited: bool


class RoomRead(msgspec.Struct):
    """What was read of one room."""

    stretch: Stretch
    state: dict[Key, Event] = msgspec.field(default_factory=dict)
    """What may have to be sent of its state."""
    members: dict[str, Event] = msgspec.field(default_factory=dict)
    """Member events of those who act, and of heroes."""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    heroes: list[UserId] | None = None
    bump: int | None = None
    bundles: Mapping[EventId, Bundle] = msgspec.field(default_factory=dict)


class RoomReader:
    """Reads rooms of one user."""

    def __init__(
        self, store: SlidingSyncStore, sync_store: SyncStore, rooms: Rooms, bundles: Bundles
    ) -> None:
        self._store = store
        self._sync_store = sync_store
        self._rooms = rooms
        self._bundles = bundles

    async def read(
        self, tx: ReadTx, plans: Sequence[RoomPlan], view: UserView, upto: int, shown: View
    ) -> dict[RoomId, RoomRead]:
        """What the rooms hold up to a position."""
        read: dict[RoomId, RoomRead] = {}
        for start in range(0, len(plans), ROOMS_AT_ONCE):
            some = plans[start : start + ROOMS_AT_ONCE]
            reading = _Reading(tx, some, view, upto)
            await self._read_timelines(reading, read)
            await self._read_state(reading, read)
            await self._read_counts(reading, read)
            await self._read_members(reading, read)
            await self._read_bundles(reading, read, shown)
        return read

    async def outside(
        self, tx: ReadTx, plans: Sequence[RoomPlan], user_id: UserId
    ) -> dict[RoomId, list[Event]]:
        """What is shown of rooms the user is invited to, or asks to be let in."""
        found: dict[RoomId, list[Event]] = defaultdict(list)
        if plans:
            since = min(plan.entry.changed for plan in plans) - 1
            for event in await self._sync_store.outside_state(tx, user_id, since):
                found[event.room_id].append(event)
        return found

    async def _read_timelines(self, reading: "_Reading", read: dict[RoomId, RoomRead]) -> None:
        timelines: dict[RoomId, list[Event]] = {}
        by_limit: dict[int, list[RoomId]] = defaultdict(list)
        for plan in reading.plans:
            held = self._remember(plan, reading.upto)
            if held is None:
                by_limit[plan.config.limit].append(plan.room_id)
            else:
                timelines[plan.room_id] = held
        for limit, rooms in by_limit.items():
            window = reading.window(rooms, limit)
            for event in await self._sync_store.timelines(reading.tx, window):
                timelines.setdefault(event.room_id, []).append(event)
        visible = await self._visible(reading)
        for plan in reading.plans:
            events, intervals = timelines.get(plan.room_id, []), visible.get(plan.room_id)
            read[plan.room_id] = RoomRead(_stretch(plan, events, intervals, reading.view))

    def _remember(self, plan: RoomPlan, upto: int) -> list[Event] | None:
        """The newest events, if memory has as many as are needed."""
        room = self._rooms.held(plan.room_id)
        if room is None or not room.tail or plan.entry.membership != "join":
            return None
        events = [event for event in room.tail if event.position <= upto]
        is_whole = len(room.tail) >= room.tip.depth
        is_all_new = not (plan.initial or plan.grows) and room.tail[0].position <= plan.since
        if not (is_whole or is_all_new or len(events) > plan.config.limit):
            return None
        return events[-1 - plan.config.limit :]

    async def _visible(self, reading: "_Reading") -> dict[RoomId, list[Interval]]:
        """Which parts of the rooms may be seen; of what came since they joined it is all."""
        rooms = [plan.room_id for plan in reading.plans if self._hides(plan)]
        if not rooms:
            return {}
        visibility: dict[RoomId, list[tuple[int, str]]] = defaultdict(list)
        membership: dict[RoomId, list[tuple[int, str]]] = defaultdict(list)
        rows = await self._sync_store.visibility(reading.tx, reading.window(rooms, 1))
        for room_id, type_, position, json in rows:
            content = _decode(json).content
            if type_ == MEMBER:
                membership[room_id].append((position, str(content.membership)))
            else:
                visibility[room_id].append((position, str(content.history_visibility)))
        return {
            room_id: visible_intervals(visibility[room_id], membership[room_id])
            for room_id in rooms
        }

    def _hides(self, plan: RoomPlan) -> bool:
        if plan.entry.membership == "join" and not (plan.initial or plan.grows):
            return False
        room = self._rooms.held(plan.room_id)
        return plan.entry.membership != "join" or room is None or room.visibility_changed

    async def _read_state(self, reading: "_Reading", read: dict[RoomId, RoomRead]) -> None:
        tx, joined = reading.tx, [p for p in reading.plans if p.entry.membership == "join"]
        whole = [p for p in joined if p.initial or p.new_wishes]
        events: list[Event] = []
        if whole:
            chosen = select(wanted for plan in whole for wanted in plan.config.wishes)
            types = None if chosen.types is None else chosen.types | SHOWN_TYPES
            selection = Selection(types, chosen.members)
            events += await self._store.state(tx, [plan.room_id for plan in whole], selection)
        for plan in joined:
            if not plan.initial and not read[plan.room_id].stretch.limited:
                events += [e for e in read[plan.room_id].stretch.found if e.state_key is not None]
        cut = [p for p in joined if not p.initial and read[p.room_id].stretch.limited]
        if cut:
            events += await self._state_changes(reading, cut)
        left = [plan.room_id for plan in reading.plans if plan.entry.membership != "join"]
        if left:
            events += await self._store.state_at_leaving(tx, reading.view.user_id, left)
        for event in events:
            read[event.room_id].state[event.type, event.state_key] = event

    async def _state_changes(self, reading: "_Reading", cut: list[RoomPlan]) -> list[Event]:
        """What changed where the timelines do not tell it all."""
        tx, rooms = reading.tx, [plan.room_id for plan in cut]
        since = min(plan.since for plan in cut)
        chosen = select(wanted for plan in cut for wanted in plan.config.wishes)
        span = (since, reading.upto)
        changes = await self._store.state_changes(tx, rooms, span, chosen)
        emptied = await self._sync_store.emptied_state(tx, reading.window(rooms, 1, since))
        positions = sorted({position for _, position in emptied})
        return [*await self._sync_store.at_positions(tx, list(positions)), *changes]

    async def _read_counts(self, reading: "_Reading", read: dict[RoomId, RoomRead]) -> None:
        plans = [p for p in reading.plans if p.entry.membership == "join"]
        rooms = [p.room_id for p in plans if p.initial or _changes_members(read[p.room_id])]
        if rooms:
            window = reading.window(rooms, 1)
            for row in await self._sync_store.member_counts(reading.tx, window):
                read[row.room_id].counts[row.membership] = row.count
            for room_id in rooms:
                read[room_id].heroes = []
            for room_id, user_id in await self._sync_store.heroes(reading.tx, window):
                heroes = read[room_id].heroes
                if heroes is not None:
                    heroes.append(user_id)
        unclear = [p.room_id for p in plans if p.initial or read[p.room_id].stretch.limited]
        if unclear:
            bumps = await self._store.bumps(reading.tx, unclear, reading.upto)
            for room_id, position in bumps.items():
                read[room_id].bump = position

    async def _read_members(self, reading: "_Reading", read: dict[RoomId, RoomRead]) -> None:
        missing: dict[RoomId, set[str]] = {}
        for plan in reading.plans:
            each = read[plan.room_id]
            needed = {*(each.heroes or ()), *acting(plan, each.stretch)}
            room = self._rooms.held(plan.room_id)
            for user_id in needed:
                member = room.get(MEMBER, user_id) if room else each.state.get((MEMBER, user_id))
                if member is not None:
                    each.members[user_id] = member
            if not needed <= each.members.keys():
                missing[plan.room_id] = needed
        if missing:
            selection = Selection(frozenset(), frozenset().union(*missing.values()))
            for event in await self._store.state(reading.tx, list(missing), selection):
                if event.state_key in missing[event.room_id]:
                    read[event.room_id].members[event.state_key or ""] = event

    async def _read_bundles(
        self, reading: "_Reading", read: dict[RoomId, RoomRead], shown: View
    ) -> None:
        """What other events say of those shown; of new ones they come after them."""
        events = [
            event
            for plan in reading.plans
            for event in read[plan.room_id].stretch.events
            if event.redacted_by is not None
            or plan.initial
            or plan.grows
            or read[plan.room_id].stretch.limited
        ]
        if events:
            bundles = await self._bundles.load(reading.tx, events, shown, reading.upto)
            for plan in reading.plans:
                read[plan.room_id].bundles = bundles


class _Reading(msgspec.Struct):
    tx: ReadTx
    plans: Sequence[RoomPlan]
    view: UserView
    upto: int

    def window(self, rooms: Iterable[RoomId], limit: int, since: int = 0) -> Window:
        """Those rooms, whether the user is in them or has left them."""
        return Window(self.view.user_id, since, self.upto, 0, limit, tuple(rooms))


def acting(plan: RoomPlan, stretch: Stretch) -> set[str]:
    """Whose member events a client that loads them lazily needs for a timeline."""
    if not any(wanted.lazy for wanted in plan.config.wishes):
        return set()
    known: frozenset[str] = frozenset()
    if plan.sent is not None and not plan.initial and not stretch.limited:
        known = plan.sent.members
    found: set[str] = {event.sender for event in stretch.events if event.sender not in known}
    # Who is changed is sent anew.
    found.update(event.state_key or "" for event in stretch.events if event.type == MEMBER)
    return found


def _stretch(
    plan: RoomPlan, events: list[Event], intervals: list[Interval] | None, view: UserView
) -> Stretch:
    limit, since = plan.config.limit, 0 if plan.grows else plan.since
    found = [event for event in events if event.position > since]
    shown = [
        event
        for event in found
        if (intervals is None or can_see(event.position, intervals))
        and (event.sender not in view.ignored or event.state_key is not None)
    ]
    limited = len(shown) > limit or len(found) > limit
    return Stretch(found, shown[-limit:] if limit else [], limited)


def _changes_members(read: RoomRead) -> bool:
    named = ("m.room.name", "m.room.canonical_alias")
    return read.stretch.limited or any(
        event.type == MEMBER or event.type in named for event in read.stretch.found
    )


class _Content(msgspec.Struct):
    membership: object = None
    history_visibility: object = None


class _Event(msgspec.Struct):
    content: _Content


_decode = msgspec.json.Decoder(_Event).decode
