"""Rooms in memory: the replica readers use, and the draft of it that a writer builds.

`Room` holds committed state only. It is changed by `Rooms.apply`, in position
order, and by nothing else. A recipe works on a `PendingRoom`, which lies over
the replica and vanishes with its transaction.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator

from msgspec import structs

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.protocol.room_versions import RoomVersion, get_room_version
from tidings.rules.power_levels import PowerLevels, creators_of
from tidings.rules.stream import EventAppended
from tidings.server.live.feed import Feed
from tidings.server.storage.database import ReadTx, WriteTx
from tidings.server.storage.events import EventStore, Tip
from tidings.server.storage.rooms import RoomStore

StateKey = tuple[str, str]
MEMBER = "m.room.member"
EVENTS_MAX = 60_000
"""Events held in memory over all rooms; beyond it the longest unused rooms go."""
TAIL_MAX = 32
"""The newest events of each room that are held."""


def membership_of(event: Event | None) -> str:
    """The membership a member event gives; `leave` where there is none."""
    if event is None:
        return "leave"
    membership = event.content.get("membership")
    return membership if isinstance(membership, str) else "leave"


def display_name_of(event: Event | None) -> str | None:
    """The display name in a member event."""
    name = event.content.get("displayname") if event else None
    return name if isinstance(name, str) else None


def _levels(version: RoomVersion, create: Event | None, levels: Event | None) -> PowerLevels:
    creators = creators_of(create, version) if create else frozenset[UserId]()
    return PowerLevels.parse(levels.content if levels else None, version, creators)


class Room:
    """The committed present of one room."""

    def __init__(self, room_id: RoomId, version: RoomVersion, tip: Tip) -> None:
        self.room_id = room_id
        self.version = version
        self.tip = tip
        self.state: dict[StateKey, Event] = {}
        self.joined: dict[UserId, None] = {}
        """In the order of joining; a dict serves as the ordered set."""
        self.invited: dict[UserId, None] = {}
        self.tail: deque[Event] = deque(maxlen=TAIL_MAX)
        """The newest events, as far as they came while the room was held."""
        self._power_levels: PowerLevels | None = None
        self.visibility_changed = False
        """Whether the history was ever anything but open to all members."""

    def get(self, type: str, state_key: str) -> Event | None:
        """The state event of a key."""
        return self.state.get((type, state_key))

    @property
    def power_levels(self) -> PowerLevels:
        """The power levels that hold now."""
        if self._power_levels is None:
            create, levels = self.get("m.room.create", ""), self.get("m.room.power_levels", "")
            self._power_levels = _levels(self.version, create, levels)
        return self._power_levels

    def apply(self, event: Event, depth: int) -> None:
        """Take up an event that has been committed after all others here."""
        self.tip = Tip(event.event_id, depth, event.loud, event.position)
        self.tail.append(event)
        if event.state_key is not None:
            self.take_state(event)

    def holds_newest(self, count: int) -> bool:
        """Whether the tail has so many events, or all there are."""
        return len(self.tail) >= min(count, self.tip.depth)

    @property
    def weight(self) -> int:
        """How many events it keeps in memory."""
        return len(self.state) + len(self.tail) + 1

    def take_state(self, event: Event) -> None:
        """Let a state event hold."""
        key = (event.type, event.state_key or "")
        self.state[key] = event
        if event.type == MEMBER:
            self._take_member(event)
        elif event.type in ("m.room.power_levels", "m.room.create"):
            self._power_levels = None
        elif event.type == "m.room.history_visibility":
            self.visibility_changed |= event.content.get("history_visibility") not in (
                "shared",
                "world_readable",
            )

    def _take_member(self, event: Event) -> None:
        user_id = UserId(event.state_key or "")
        membership = membership_of(event)
        if membership == "join":
            self.joined[user_id] = None
        else:
            self.joined.pop(user_id, None)
        if membership == "invite":
            self.invited[user_id] = None
        else:
            self.invited.pop(user_id, None)


class PendingRoom:
    """A room as the recipes of one transaction see it: the replica and what they added."""

    def __init__(self, base: Room) -> None:
        self._base = base
        self._delta: dict[StateKey, Event] = {}
        self._power_levels: PowerLevels | None = None
        self.room_id = base.room_id
        self.version = base.version
        self.tip = base.tip

    def get(self, type: str, state_key: str) -> Event | None:
        """The state event of a key."""
        return self._delta.get((type, state_key)) or self._base.state.get((type, state_key))

    @property
    def power_levels(self) -> PowerLevels:
        """The power levels with those of this transaction."""
        if self._power_levels is None:
            changed = {("m.room.power_levels", ""), ("m.room.create", "")} & self._delta.keys()
            if not changed:
                return self._base.power_levels
            create, levels = self.get("m.room.create", ""), self.get("m.room.power_levels", "")
            self._power_levels = _levels(self.version, create, levels)
        return self._power_levels

    def add(self, event: Event) -> None:
        """Take up an event that this transaction appends."""
        self.tip = Tip(event.event_id, self.tip.depth + 1, event.loud, event.position)
        if event.state_key is not None:
            self._delta[event.type, event.state_key] = event
            if event.type in ("m.room.power_levels", "m.room.create"):
                self._power_levels = None

    def replace_state(self, event: Event) -> None:
        """Let the redacted form of a state event stand in for it."""
        self._delta[event.type, event.state_key or ""] = event
        self._power_levels = None

    def membership(self, user_id: UserId) -> str:
        """A user's membership with this transaction's changes."""
        return membership_of(self.get(MEMBER, user_id))

    @property
    def joined(self) -> dict[UserId, None]:
        """Joined members; a copy only where this transaction changed them."""
        members = [event for key, event in self._delta.items() if key[0] == MEMBER]
        if not members:
            return self._base.joined
        joined = dict(self._base.joined)
        for event in members:
            user_id = UserId(event.state_key or "")
            if membership_of(event) == "join":
                joined[user_id] = None
            else:
                joined.pop(user_id, None)
        return joined

    def state_keys(self) -> Iterator[StateKey]:
        """Every key that has state."""
        yield from self._base.state
        yield from (key for key in self._delta if key not in self._base.state)


class Rooms:
    """The rooms held in memory."""

    def __init__(self, rooms: RoomStore, events: EventStore, feed: Feed) -> None:
        self._rooms = rooms
        self._events = events
        self._feed = feed
        self._held: OrderedDict[RoomId, Room] = OrderedDict()
        self._weight = 0

    def held(self, room_id: RoomId) -> Room | None:
        """The room, if it is in memory."""
        return self._held.get(room_id)

    async def load(self, tx: ReadTx, room_id: RoomId) -> Room | None:
        """The room's replica, read from the database where memory does not hold it."""
        room = self._held.get(room_id)
        if room is not None:
            self._held.move_to_end(room_id)
            return room
        started = await tx.snapshot_position()
        row = await self._rooms.find(tx, room_id)
        tip = await self._events.last(tx, room_id) if row else None
        if row is None or tip is None:
            return None
        room = Room(room_id, get_room_version(row.version), tip)
        state = await self._events.current_state(tx, room_id)
        for event in sorted(state, key=lambda event: event.position):
            room.take_state(event)
        history = await self._events.history_of(tx, room_id, "m.room.history_visibility", "")
        room.visibility_changed = any(
            event.content.get("history_visibility") not in ("shared", "world_readable")
            for event in history
        )
        return self._hold_current(room, started)

    async def for_update(self, tx: WriteTx, room_id: RoomId) -> PendingRoom | None:
        """The room for a recipe, with what earlier recipes of its group did to it."""
        pending = tx.pending.get(room_id)
        if isinstance(pending, PendingRoom):
            return pending
        base = await self.load(tx, room_id)
        if base is None:
            return None
        fresh = PendingRoom(base)
        tx.pending[room_id] = fresh
        return fresh

    def new(self, room_id: RoomId, version: RoomVersion) -> PendingRoom:
        """A room that a recipe is creating; it has no event, and perhaps no id, yet."""
        return PendingRoom(Room(room_id, version, Tip(EventId(""), 0, 0, StreamPosition(0))))

    def name(self, tx: WriteTx, room: PendingRoom, room_id: RoomId) -> None:
        """Show a new room to the recipes after it, by the id its first event gave it."""
        room.room_id = room_id
        tx.pending[room_id] = room

    def apply(self, event: Event) -> None:
        """Take up a committed event."""
        room = self._held.get(event.room_id)
        if room is None:
            if event.type != "m.room.create":
                return
            version = get_room_version(event.content.get("room_version", "1"))
            room = Room(event.room_id, version, Tip(EventId(""), 0, 0, StreamPosition(0)))
            self._hold(room)
        if event.position <= room.tip.position:
            return
        before = room.weight
        room.apply(event, room.tip.depth + 1)
        self._weight += room.weight - before

    def redact(self, redacted: Event) -> None:
        """Let the redacted form of a state event stand in for it where it still holds."""
        room = self._held.get(redacted.room_id)
        if room is None:
            return
        for place, event in enumerate(room.tail):
            if event.event_id == redacted.event_id:
                room.tail[place] = redacted
        if redacted.state_key is None:
            return
        current = room.get(redacted.type, redacted.state_key)
        if current is None:
            return
        if current.event_id == redacted.event_id:
            room.take_state(redacted)
        elif current.replaces == redacted.position:
            # What it replaced is told with it, in `unsigned`.
            room.take_state(structs.replace(current, replaced_json=redacted.json))

    def clear(self) -> None:
        """Forget everything; it will be read again."""
        self._held.clear()
        self._weight = 0

    def _hold_current(self, room: Room, started: int) -> Room:
        """Keep what was read, with what was committed while it was being read."""
        held = self._held.get(room.room_id)
        if held is not None:
            return held
        if started < self._feed.floor:
            return room
        self._hold(room)
        for change in self._feed.after(started):
            if isinstance(change, EventAppended) and change.event.room_id == room.room_id:
                if change.redacted is not None:
                    self.redact(change.redacted)
                self.apply(change.event)
        return room

    def _hold(self, room: Room) -> None:
        self._held[room.room_id] = room
        self._weight += room.weight
        while self._weight > EVENTS_MAX and len(self._held) > 1:
            _, gone = self._held.popitem(last=False)
            self._weight -= gone.weight
