"""Connections of sliding sync: what each is known to have been sent.

They live in memory only. A `pos` that is not known any more (the server was
restarted, another process answers, too many connections) is refused, and the
client begins anew: MSC4186, "Connections".
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from tidings.protocol.errors import UnknownPos
from tidings.protocol.ids import DeviceId, RoomId, UserId
from tidings.rules.required_state import Wanted
from tidings.rules.sliding_lists import List, RoomConfig
from tidings.rules.sync import Counts

CONNECTIONS_MAX = 5_000
ROOMS_MAX = 500_000
"""Rooms that all connections together remember; beyond it the longest unused ones go."""
DEVICE_CONNECTIONS_MAX = 8
SUBSCRIPTIONS_MAX = 100
WHOLE = 1 << 30
"""The limit of a room whose history was sent from its beginning."""

Place: TypeAlias = tuple[UserId, DeviceId, str]


class Sent(msgspec.Struct, frozen=True):
    """What a connection was sent of one room."""

    upto: int
    """Everything up to here; later positions hold for rooms that have been shown since."""
    membership: str
    limit: int
    """So many of the newest events it has had without a gap."""
    wishes: frozenset[Wanted]
    """All that was ever wanted: it goes on being sent, so as never to be out of date."""
    members: frozenset[str]
    """Whose member events it has had, where members come lazily."""
    counts: Counts
    bump: int
    is_dm: bool


class Pending(msgspec.Struct, frozen=True):
    """An answer that was given and has perhaps not arrived."""

    pos: str
    position: int
    live: frozenset[RoomId]
    rooms: Mapping[RoomId, Sent]
    extensions: frozenset[str]


class Asked(msgspec.Struct, frozen=True):
    """What a request wants to follow: when it changes, it is answered at once."""

    lists: Mapping[str, List]
    subscriptions: Mapping[RoomId, RoomConfig]


class Connection:
    """One client's loop of requests."""

    def __init__(self) -> None:
        self.pos: str | None = None
        self.position = 0
        """Up to here the rooms that are live have been sent."""
        self.live: frozenset[RoomId] = frozenset()
        """The rooms that the last answer's lists and subscriptions showed."""
        self.rooms: dict[RoomId, Sent] = {}
        self.extensions: frozenset[str] = frozenset()
        self.subscriptions: dict[RoomId, RoomConfig] = {}
        self.answered: Asked | None = None
        self.pending: Pending | None = None
        self.turn = 0
        """Counts the requests: a newer one ends those before it."""

    def since(self, room_id: RoomId) -> int:
        """Up to where a room has been sent."""
        if room_id in self.live:
            return self.position
        sent = self.rooms.get(room_id)
        return sent.upto if sent else 0

    def arrive(self, pos: str) -> None:
        """The client comes with a position: the answer that gave it has arrived."""
        pending, self.pending = self.pending, None
        if pos == self.pos:
            return
        if pending is None or pending.pos != pos:
            raise UnknownPos("This position is not known here: begin anew without one")
        self._show(pending.position, pending.live)
        self.pos, self.extensions = pos, pending.extensions
        self.rooms.update(pending.rooms)

    def move_on(self, position: int, live: frozenset[RoomId]) -> None:
        """Note that up to a position there was nothing to tell of the rooms shown by then."""
        if self.pos is not None and self.pending is None:
            self._show(position, live)

    def _show(self, position: int, live: frozenset[RoomId]) -> None:
        for room_id in self.live - live:
            self.rooms[room_id] = msgspec.structs.replace(self.rooms[room_id], upto=self.position)
        self.position, self.live = position, live

    def subscribe(self, rooms: Mapping[RoomId, RoomConfig], ended: Iterable[RoomId]) -> None:
        """Follow more rooms, and some no more.

        COMPAT(matrix-js-sdk 43): it names a room once, and names it again to end it; others
        name all of them each time. So what is not named goes on.
        """
        for room_id in ended:
            self.subscriptions.pop(room_id, None)
        for room_id, config in rooms.items():
            self.subscriptions.pop(room_id, None)
            self.subscriptions[room_id] = config
        while len(self.subscriptions) > SUBSCRIPTIONS_MAX:
            del self.subscriptions[next(iter(self.subscriptions))]


class Connections:
    """All connections."""

    def __init__(self, new_serial: Callable[[], str]) -> None:
        self._new_serial = new_serial
        self._held: OrderedDict[Place, Connection] = OrderedDict()
        self._rooms = 0

    def begin(self, place: Place) -> Connection:
        """A connection that has been sent nothing."""
        self.end(place)
        siblings = [each for each in self._held if each[:2] == place[:2]]
        if len(siblings) >= DEVICE_CONNECTIONS_MAX:
            self.end(siblings[0])
        connection = self._held[place] = Connection()
        return connection

    def find(self, place: Place, pos: str) -> Connection:
        """The connection that has come to a position; raises UnknownPos."""
        connection = self._held.get(place)
        if connection is None:
            raise UnknownPos("This connection is not known here: begin anew without a position")
        before = len(connection.rooms)
        connection.arrive(pos)
        self._rooms += len(connection.rooms) - before
        self._held.move_to_end(place)
        while len(self._held) > CONNECTIONS_MAX or self._rooms > ROOMS_MAX:
            self.end(next(iter(self._held)))
        return connection

    def end(self, place: Place) -> None:
        """Forget a connection."""
        gone = self._held.pop(place, None)
        if gone is not None:
            gone.turn += 1
            self._rooms -= len(gone.rooms)

    def new_pos(self, position: int) -> str:
        """The name of an answer that tells everything up to a position."""
        return f"s{position}_{self._new_serial()}"
