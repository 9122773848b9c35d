"""Reads pages of a room's history: what is visible, asked for and not from somebody ignored."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.filters import RoomEventFilter
from tidings.protocol.ids import UserId
from tidings.rules.paging import END, visible_spans
from tidings.server.live.users import IGNORED, ignored_users
from tidings.server.services.access import Sight
from tidings.server.storage.database import ReadTx
from tidings.server.storage.events import EventStore, Span
from tidings.server.storage.people import PeopleStore

SCANS_MAX = 10
"""Reads for one page: bounds what a filter that nearly nothing passes can cost."""
FILTERED_SCAN = 200
Judge: TypeAlias = Callable[[Event], bool]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a room's history is asked for, in which direction."""

    after: int = -1
    before: int = END
    """Positions between these two, neither included."""
    backwards: bool
    limit: int
    filter: RoomEventFilter = RoomEventFilter()


class Page(msgspec.Struct):
    """Events in the order of reading, and where the reading stopped."""

    events: list[Event]
    last: int | None = None
    """The position of the last event looked at; None when there is nothing beyond it."""
    scans: int = 0


class Pages:
    """Reads pages."""

    def __init__(self, events: EventStore, people: PeopleStore) -> None:
        self._events = events
        self._people = people

    async def read(self, tx: ReadTx, sight: Sight, wanted: Wanted) -> Page:
        """A page, and whether there is more of the kind."""
        passes = await self._judge(tx, sight.user_id, wanted.filter)
        page = Page([])
        for after, before in visible_spans(
            sight.intervals, wanted.after, wanted.before, backwards=wanted.backwards
        ):
            left = msgspec.structs.replace(wanted, after=after, before=before)
            while not _is_full(page, wanted.limit) and left.after + 1 < left.before:
                left = await self._read_on(tx, sight, left, (page, passes))
            if left.after + 1 < left.before:
                return page
        page.last = None
        return page

    async def _judge(self, tx: ReadTx, user_id: UserId, chosen: RoomEventFilter) -> Judge | None:
        """What tells whether an event is shown; None where every event is."""
        content = await self._people.find_account_data(tx, user_id, "", IGNORED)
        ignored = ignored_users(content) if content else frozenset[str]()
        if chosen.is_everything and not ignored:
            return None
        return lambda event: (
            chosen.passes(event) and (event.state_key is not None or event.sender not in ignored)
        )

    async def _read_on(
        self, tx: ReadTx, sight: Sight, left: Wanted, into: tuple[Page, Judge | None]
    ) -> Wanted:
        """Read a stretch; what is left of it afterwards."""
        page, passes = into
        size = left.limit - len(page.events) if passes is None else FILTERED_SCAN
        span = Span(after=left.after, before=left.before, backwards=left.backwards, limit=size + 1)
        rows = await self._events.page(tx, sight.room.room_id, span)
        page.scans += 1
        _take(page, rows[:size], left.limit, passes)
        if not rows or page.last == rows[-1].position:  # the surplus row was not needed
            return msgspec.structs.replace(left, before=left.after)
        if left.backwards:
            return msgspec.structs.replace(left, before=page.last)
        return msgspec.structs.replace(left, after=page.last)


def _take(page: Page, rows: Sequence[Event], limit: int, passes: Judge | None) -> None:
    """Add those of the rows that are shown, until the page is full."""
    for event in rows:
        page.last = event.position
        if passes is None or passes(event):
            page.events.append(event)
            if len(page.events) == limit:
                return


def _is_full(page: Page, limit: int) -> bool:
    return len(page.events) >= limit or page.scans >= SCANS_MAX
