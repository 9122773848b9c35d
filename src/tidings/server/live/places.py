"""A user's place in one room: how far they have read, and what is unread.

An ordinary member's unread events are a subtraction: the room's count of loud
events less the count at the read mark, less those redacted since. Events in
threads are listed, as each thread has a mark of its own. Notices add what the
subtraction does not know of; for members who are counted by notices alone
they are everything.
"""

import msgspec

from tidings.protocol.events import Event
from tidings.server.storage.people import MAIN, WHOLE_ROOM

NOTICES_MAX = 1_000
"""Unread notices kept in memory for one room of one user; a count beyond it is capped."""


class UnreadNotice(msgspec.Struct, frozen=True):
    """An unread event that is counted one by one."""

    position: int
    thread_id: str
    counts: bool
    """Whether it is to be added to the count."""
    highlights: bool


class Unread(msgspec.Struct, frozen=True):
    """What /sync says of a room's or a thread's unread events."""

    notifications: int
    highlights: int


class Place(msgspec.Struct):
    """A user's place in one room, and how far they have read.

    Its members are replaced, never changed in place: a copy stays as it was.
    """

    membership: str
    position: int
    entered: int
    """Where the membership began; what was before is not unread."""
    forgotten: int = 0
    loud: int = 0
    """The room's count of loud events at the read mark of the main timeline."""
    read_room: int = 0
    read_main: int = 0
    read_threads: dict[str, int] | None = None
    notices: tuple[UnreadNotice, ...] = ()
    threads: tuple[tuple[int, str], ...] = ()
    """Unread loud events in threads: position, thread."""
    redacted: tuple[int, ...] = ()
    """Unread loud events of the main timeline that were redacted."""

    def read_upto(self, thread_id: str) -> int:
        """The position up to which a thread (or `main`) is read."""
        if thread_id == MAIN:
            return max(self.entered, self.read_room, self.read_main)
        of_thread = self.read_threads.get(thread_id, 0) if self.read_threads else 0
        return max(self.entered, self.read_room, of_thread)

    def move_mark(self, thread_id: str, position: int, loud: int) -> None:
        """Take up that the user has read to a position; a mark never goes back."""
        # Not only beyond: the mark of one's own joining stands at `entered`.
        if thread_id in (WHOLE_ROOM, MAIN) and position >= self.read_upto(MAIN):
            self.loud = loud
        if thread_id == WHOLE_ROOM:
            self.read_room = max(self.read_room, position)
        elif thread_id == MAIN:
            self.read_main = max(self.read_main, position)
        else:
            marks = self.read_threads or {}
            self.read_threads = {**marks, thread_id: max(marks.get(thread_id, 0), position)}
        self._drop_read()

    def _drop_read(self) -> None:
        if self.notices:
            self.notices = tuple(
                n for n in self.notices if n.position > self.read_upto(n.thread_id)
            )
        if self.threads:
            self.threads = tuple(t for t in self.threads if t[0] > self.read_upto(t[1]))
        if self.redacted:
            upto = self.read_upto(MAIN)
            self.redacted = tuple(position for position in self.redacted if position > upto)

    def add_notice(self, notice: UnreadNotice) -> None:
        """Note an event that is counted by itself, unless it has been read."""
        if notice.position > self.read_upto(notice.thread_id):
            self.notices = (*self.notices[1 - NOTICES_MAX :], notice)

    def add_thread_event(self, position: int, thread_id: str) -> None:
        """Note a loud event of a thread, unless it has been read."""
        if position > self.read_upto(thread_id):
            self.threads = (*self.threads[1 - NOTICES_MAX :], (position, thread_id))

    def add_redacted(self, position: int) -> None:
        """Note that the subtraction counts an event of the main timeline that is gone."""
        if position > self.read_upto(MAIN) and position not in self.redacted:
            self.redacted = (*self.redacted, position)

    def forget_event(self, event: Event) -> None:
        """Take up that an event was redacted: it is unread no longer."""
        position = event.position
        self.notices = tuple(n for n in self.notices if n.position != position)
        self.threads = tuple(t for t in self.threads if t[0] != position)
        if event.is_loud and event.thread_id is None:
            self.add_redacted(position)

    def unread_loud(self, room_loud: int) -> int:
        """How many loud events of the main timeline are unread, by subtraction."""
        return max(0, room_loud - self.loud - len(self.redacted))

    def unread_threads(self) -> set[str]:
        """The threads in which anything is unread."""
        names = {thread for _, thread in self.threads}
        names.update(notice.thread_id for notice in self.notices)
        names.discard(MAIN)
        return names

    def count(self, thread_id: str, loud: int) -> Unread:
        """So many loud events, and what the notices add to them."""
        notifications, highlights = loud, 0
        for notice in self.notices:
            if notice.thread_id == thread_id:
                notifications += notice.counts
                highlights += notice.highlights
        return Unread(notifications, highlights)
