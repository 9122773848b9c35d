"""A user's rooms as lists of sliding sync see them: newest first, and what filters ask of them.

A board is read once and then follows the feed, so that a list is drawn without
a query. It is a cache of the present: any connection of its user may use it.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.required_state import MEMBER
from tidings.rules.sliding_lists import Entry
from tidings.rules.stream import AccountDataChanged, Change, EventAppended
from tidings.server.live.feed import Feed
from tidings.server.live.rooms import membership_of
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.sliding_sync import SlidingSyncStore

BOARDS_MAX = 1_000
PRESENT = ("join", "invite", "knock")
DIRECT, TAGS, CHILD = "m.direct", "m.tag", "m.space.child"


class Board:
    """The rooms of one user."""

    def __init__(self, user_id: UserId, position: int) -> None:
        self.user_id = user_id
        self.position = position
        self.rooms: dict[RoomId, Entry] = {}
        self.has_facts = False
        """Whether every room's type and encryption is known."""
        self.children: dict[str, frozenset[str]] = {}
        """The rooms in each space that a filter has named."""
        self.direct: frozenset[str] = frozenset()
        self._sorted: list[Entry] | None = None

    @property
    def entries(self) -> list[Entry]:
        """All rooms, the one with the newest event first."""
        if self._sorted is None:
            self._sorted = sorted(self.rooms.values(), key=_position, reverse=True)
        return self._sorted

    def put(self, entry: Entry) -> None:
        """Add a room."""
        self.rooms[entry.room_id] = entry
        self._sorted = None

    def follow(self, changes: Iterable[Change], position: int) -> None:
        """Take up what was committed up to a position."""
        for change in changes:
            if isinstance(change, EventAppended):
                self._take_event(change.event)
            elif isinstance(change, AccountDataChanged) and change.user_id == self.user_id:
                self.take_label(change.room_id, change.type, change.content)
        self.position = max(self.position, position)

    def take_label(self, room_id: RoomId, type_: str, content: bytes) -> None:
        """Take up which rooms are direct chats, or the tags of one."""
        if type_ == DIRECT and not room_id:
            self.direct = _direct_rooms(content)
            for entry in self.rooms.values():
                entry.is_dm = entry.room_id in self.direct
        elif type_ == TAGS and room_id in self.rooms:
            self.rooms[room_id].tags = _tags(content)

    def take_fact(self, room_id: RoomId, type_: str, json: bytes) -> None:
        """Take up how a room was created, or that it is encrypted."""
        entry = self.rooms.get(room_id)
        if entry is None:
            return
        if type_ == "m.room.encryption":
            entry.is_encrypted = True
        elif type_ == "m.room.create":
            found = _decode_create(json).content.type
            entry.room_type = found if isinstance(found, str) else None

    def _take_event(self, event: Event) -> None:
        if event.type == CHILD:
            self.children.pop(event.room_id, None)
        if event.type == MEMBER and event.state_key == self.user_id:
            self._take_membership(event)
        entry = self.rooms.get(event.room_id)
        if entry is None:
            return
        self.take_fact(event.room_id, event.type, event.json)
        if entry.membership == "join" and event.position > entry.position:
            entry.position, entry.loud = event.position, event.loud
            self._sorted = None

    def _take_membership(self, event: Event) -> None:
        old, membership = self.rooms.get(event.room_id), membership_of(event)
        if old is None:
            self.has_facts = False
            is_dm = event.room_id in self.direct
            old = Entry(event.room_id, "leave", 0, event.sender, was_joined=False, position=0)
            old.is_dm = is_dm
        old.was_joined |= membership == "join"
        old.membership, old.sender = membership, event.sender
        old.changed = old.position = event.position
        old.loud = event.loud
        self.put(old)


class Boards:
    """The boards of those who sync."""

    def __init__(self, db: Database, store: SlidingSyncStore, feed: Feed) -> None:
        self._db = db
        self._store = store
        self._feed = feed
        self._held: OrderedDict[UserId, Board] = OrderedDict()

    def held(self, user_id: UserId) -> Board | None:
        """The board as it is now, if memory has it."""
        board = self._held.get(user_id)
        if board is None or board.position < self._feed.floor:
            return None
        if board.position < self._feed.position:
            board.follow(self._feed.after(board.position), self._feed.position)
        return board

    async def load(self, user_id: UserId) -> None:
        """Read the board of a user."""
        async with self._db.read() as tx:
            board = Board(user_id, await tx.snapshot_position())
            await self._read_rooms(tx, board)
        self._held[user_id] = board
        self._held.move_to_end(user_id)
        if len(self._held) > BOARDS_MAX:
            self._held.popitem(last=False)

    async def load_facts(self, board: Board) -> None:
        """Read what filters ask of the rooms' state."""
        async with self._db.read() as tx:
            facts = await self._store.facts(tx, board.user_id)
        for room_id, type_, json in facts:
            board.take_fact(room_id, type_, json)
        board.has_facts = True

    async def load_children(self, board: Board, spaces: list[str]) -> None:
        """Read which rooms are in spaces; of a space the user is not in it is none."""
        rooms = board.rooms
        joined = [s for s in spaces if (e := rooms.get(RoomId(s))) and e.membership == "join"]
        found: dict[str, set[str]] = {space: set() for space in spaces}
        if joined:
            async with self._db.read() as tx:
                for space, room_id, json in await self._store.children(tx, joined):
                    if _decode_child(json).content.via is not None:
                        found[space].add(room_id)
        board.children.update((space, frozenset(each)) for space, each in found.items())

    async def _read_rooms(self, tx: ReadTx, board: Board) -> None:
        user_id, store = board.user_id, self._store
        histories: dict[RoomId, bool] = defaultdict(bool)
        for row in await store.places(tx, user_id):
            is_joined = row.membership == "join"
            board.put(
                Entry(
                    row.room_id, row.membership, row.changed, row.sender, is_joined,
                    row.last if is_joined else row.changed, row.loud,
                )
            )  # fmt: skip
        for room_id, json in await store.own_histories(tx, user_id):
            histories[room_id] |= _decode_member(json).content.membership == "join"
        for room_id, was_joined in histories.items():
            board.rooms[room_id].was_joined = was_joined
        for room_id, type_, content in await store.labels(tx, user_id):
            board.take_label(room_id, type_, content)


class _Create(msgspec.Struct):
    type: object = None


class _CreateEvent(msgspec.Struct):
    content: _Create


class _Member(msgspec.Struct):
    membership: object = None


class _MemberEvent(msgspec.Struct):
    content: _Member


class _Child(msgspec.Struct):
    via: object = None


class _ChildEvent(msgspec.Struct):
    content: _Child


_decode_create = msgspec.json.Decoder(_CreateEvent).decode
_decode_member = msgspec.json.Decoder(_MemberEvent).decode
_decode_child = msgspec.json.Decoder(_ChildEvent).decode
_decode = msgspec.json.Decoder().decode


def _position(entry: Entry) -> int:
    return entry.position


def _direct_rooms(content: bytes) -> frozenset[str]:
    value: object = _decode(content)
    lists = value.values() if isinstance(value, dict) else ()
    return frozenset(
        room_id
        for rooms in lists
        if isinstance(rooms, list)
        for room_id in rooms
        if isinstance(room_id, str)
    )


def _tags(content: bytes) -> frozenset[str]:
    value: object = _decode(content)
    tags = value.get("tags") if isinstance(value, dict) else None
    return frozenset(tags) if isinstance(tags, dict) else frozenset()
