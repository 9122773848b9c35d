"""What an answer of sliding sync has to tell, decided from memory: no query, no waiting.

A plan is made at the position that memory has come to; what it needs of the
database is read afterwards, up to that position.
"""

from collections.abc import Mapping

import msgspec

from tidings.protocol.ids import DeviceId, RoomId, UserId
from tidings.rules.required_state import Wanted
from tidings.rules.sliding_lists import Entry, List, RoomConfig, in_ranges, matches
from tidings.rules.sync import Counts
from tidings.server.live.users import UserView
from tidings.server.services.sliding_board import PRESENT, Board
from tidings.server.services.sliding_connections import Asked, Connection, Sent

WISHES_MAX = 16
"""Different wishes remembered for one room; with more it is sent anew."""
NO_WISHES: frozenset[Wanted] = frozenset()


class ExtensionRequest(msgspec.Struct, frozen=True):
    """What a client asks of one extension."""

    enabled: bool | None = None
    since: str | None = None
    limit: int = 100
    lists: tuple[str, ...] | None = None
    """Only for the rooms of these lists; None or `*` for all."""
    rooms: tuple[str, ...] | None = None
    """Only for these of the rooms subscribed to."""


class SlidingSyncRequest(msgspec.Struct, frozen=True):
    """One request, its body read."""

    user_id: UserId
    device_id: DeviceId
    conn_id: str
    pos: str | None
    timeout_ms: int
    lists: Mapping[str, List]
    subscriptions: Mapping[RoomId, RoomConfig]
    ended: tuple[RoomId, ...]
    extensions: Mapping[str, ExtensionRequest]
    txn_id: str | None = None


class RoomPlan(msgspec.Struct, frozen=True):
    """A room that has something to tell."""

    entry: Entry
    """As it was when the plan was made."""
    config: RoomConfig
    since: int
    """What was before has been sent; 0 where everything is to be sent anew."""
    sent: Sent | None
    counts: Counts
    grows: bool = False
    """Whether a longer timeline is wanted than has been sent."""
    new_wishes: frozenset[Wanted] = NO_WISHES

    @property
    def room_id(self) -> RoomId:
        """The room."""
        return self.entry.room_id

    @property
    def initial(self) -> bool:
        """Whether everything is sent, and what the client has of it replaced."""
        return self.since == 0

    @property
    def is_outside(self) -> bool:
        """Whether the user is only shown what people outside are shown."""
        return self.entry.membership in ("invite", "knock")


class Plan(msgspec.Struct, frozen=True):
    """What one answer tells."""

    upto: int
    counts: Mapping[str, int]
    """How many rooms each list has."""
    live: frozenset[RoomId]
    """The rooms shown, whether they have news or not."""
    rooms: list[RoomPlan]
    by_list: Mapping[str, frozenset[RoomId]]
    subscribed: frozenset[RoomId]


def make_plan(asked: Asked, connection: Connection, board: Board, view: UserView) -> Plan:
    """What there is to tell at the board's position."""
    listed = [each for each in board.entries if _is_listed(each, connection, view)]
    counts: dict[str, int] = {}
    by_list: dict[str, frozenset[RoomId]] = {}
    configs: dict[RoomId, RoomConfig] = {}
    for name, wanted in asked.lists.items():
        found = [each for each in listed if matches(each, wanted.filter, board.children)]
        counts[name] = len(found)
        shown = in_ranges(found, wanted.ranges)
        by_list[name] = frozenset(each.room_id for each in shown)
        for entry in shown:
            _add(configs, entry.room_id, wanted.config)
    for room_id, config in asked.subscriptions.items():
        subscribed = board.rooms.get(room_id)
        if subscribed is not None and _is_listed(subscribed, connection, view):
            _add(configs, room_id, config)
    plans = (
        _plan_room(board.rooms[room_id], config, connection, view)
        for room_id, config in configs.items()
    )
    rooms = [plan for plan in plans if plan is not None]
    live, named = frozenset(configs), frozenset(asked.subscriptions)
    return Plan(board.position, counts, live, rooms, by_list, named)


def _add(configs: dict[RoomId, RoomConfig], room_id: RoomId, config: RoomConfig) -> None:
    other = configs.get(room_id)
    configs[room_id] = config if other is None else other.joined_with(config)


def _is_listed(entry: Entry, connection: Connection, view: UserView) -> bool:
    """Whether the room is one of the user's.

    One they left stays until that was told; one they were thrown out of stays until it is
    forgotten.
    """
    if entry.membership in PRESENT:
        return entry.membership == "join" or entry.sender not in view.ignored
    sent = connection.rooms.get(entry.room_id)
    if sent is not None and sent.membership != entry.membership:
        return True
    place = view.places.get(entry.room_id)
    is_forgotten = place is None or bool(place.forgotten)
    return entry.was_joined and entry.sender != view.user_id and not is_forgotten


def _plan_room(
    entry: Entry, config: RoomConfig, connection: Connection, view: UserView
) -> RoomPlan | None:
    sent = connection.rooms.get(entry.room_id)
    since = _since(entry, sent, connection, view)
    counts = _counts(entry, view)
    if sent is None or not since or len(sent.wishes | config.wishes) > WISHES_MAX:
        return RoomPlan(_as_it_is(entry), config, 0, sent, counts)
    is_quiet = (
        entry.position <= since
        and entry.membership == sent.membership
        and counts == sent.counts
        and entry.is_dm == sent.is_dm
    )
    new_wishes, grows = config.wishes - sent.wishes, config.limit > sent.limit
    if entry.membership != "join":
        new_wishes, grows = NO_WISHES, False
    if is_quiet and not new_wishes and not grows:
        return None
    config = RoomConfig(config.limit, sent.wishes | config.wishes)
    return RoomPlan(_as_it_is(entry), config, since, sent, counts, grows, new_wishes)


def _since(entry: Entry, sent: Sent | None, connection: Connection, view: UserView) -> int:
    """Up to where the room has been sent; 0 for a room that is to be sent anew."""
    since = connection.since(entry.room_id)
    if sent is None or entry.membership not in PRESENT:
        return since
    if entry.membership != "join":
        return since if entry.membership == sent.membership and entry.changed <= since else 0
    place = view.places.get(entry.room_id)
    has_come = sent.membership != "join" or (place is not None and place.entered > since)
    return 0 if has_come else since


def _counts(entry: Entry, view: UserView) -> Counts:
    place = view.places.get(entry.room_id)
    if entry.membership != "join" or place is None or place.membership != "join":
        return Counts()
    unread = view.unread(entry.room_id, entry.loud)
    return Counts(unread.notifications, unread.highlights)


def _as_it_is(entry: Entry) -> Entry:
    """The board's own moves on while the room is read."""
    return msgspec.structs.replace(entry)
