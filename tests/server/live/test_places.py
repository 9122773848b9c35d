from copy import copy

from msgspec.structs import replace

from tests.rules.fakes import event
from tidings.protocol.ids import EventId, StreamPosition
from tidings.server.live.places import NOTICES_MAX, Place, Unread, UnreadNotice
from tidings.server.storage.people import MAIN, WHOLE_ROOM

ROOT = "$root"


def place() -> Place:
    return Place("join", position=10, entered=10, loud=5)


def notice(position: int, thread_id: str = MAIN, *, highlights: bool = False) -> UnreadNotice:
    return UnreadNotice(position, thread_id, counts=True, highlights=highlights)


def test_unread_is_what_was_added_since_the_mark() -> None:
    one = place()
    assert one.unread_loud(7) == 2
    one.move_mark(MAIN, 20, 6)
    assert one.unread_loud(7) == 1
    assert one.unread_loud(3) == 0


def test_a_mark_never_goes_back() -> None:
    one = place()
    one.move_mark(WHOLE_ROOM, 30, 8)
    one.move_mark(MAIN, 20, 6)
    one.move_mark(WHOLE_ROOM, 20, 6)
    assert one.loud == 8
    assert one.read_upto(MAIN) == one.read_upto(ROOT) == 30


def test_the_mark_of_joining_counts_where_the_membership_begins() -> None:
    one = Place("join", position=10, entered=10)
    one.move_mark(MAIN, 10, 5)
    assert one.unread_loud(6) == 1


def test_threads_are_read_apart_and_with_the_room() -> None:
    one = place()
    one.add_thread_event(11, ROOT)
    one.add_thread_event(12, "$other")
    one.move_mark(MAIN, 20, 5)
    assert one.unread_threads() == {ROOT, "$other"}
    one.move_mark(ROOT, 11, 5)
    assert one.unread_threads() == {"$other"}
    one.move_mark(WHOLE_ROOM, 12, 5)
    assert one.unread_threads() == set()
    one.add_thread_event(12, ROOT)
    assert one.unread_threads() == set()


def test_notices_add_to_the_loud_ones() -> None:
    one = place()
    one.add_notice(notice(11, highlights=True))
    one.add_notice(UnreadNotice(12, MAIN, counts=False, highlights=True))
    one.add_notice(notice(13, ROOT))
    assert one.count(MAIN, 2) == Unread(3, 2)
    assert one.count(ROOT, 0) == Unread(1, 0)
    one.move_mark(MAIN, 11, 5)
    assert one.count(MAIN, 0) == Unread(0, 1)


def test_what_was_before_entering_is_not_unread() -> None:
    one = place()
    one.add_notice(notice(9))
    one.add_thread_event(10, ROOT)
    one.add_redacted(8)
    assert (one.notices, one.threads, one.redacted) == ((), (), ())


def test_a_redacted_event_is_unread_no_longer() -> None:
    one = place()
    one.add_notice(notice(11))
    loud = replace(event("m.room.message", "@a:b", {}, position=11), is_loud=True)
    one.forget_event(loud)
    one.forget_event(loud)
    assert one.count(MAIN, one.unread_loud(7)) == Unread(1, 0)
    one.move_mark(MAIN, 12, 6)
    assert one.redacted == ()
    in_thread = replace(loud, thread_id=EventId(ROOT), position=StreamPosition(13))
    one.add_thread_event(13, ROOT)
    one.forget_event(in_thread)
    assert one.unread_threads() == set()
    assert one.redacted == ()


def test_a_count_is_capped() -> None:
    one = place()
    for position in range(20, 20 + NOTICES_MAX + 50):
        one.add_notice(notice(position))
    assert one.count(MAIN, 0).notifications == NOTICES_MAX
    assert one.notices[-1].position == 20 + NOTICES_MAX + 49


def test_a_copy_stays_as_it_was() -> None:
    one = place()
    one.add_notice(notice(11))
    before = copy(one)
    one.move_mark(ROOT, 12, 5)
    one.move_mark(WHOLE_ROOM, 30, 9)
    assert before.notices == (notice(11),)
    assert before.read_threads is None
