"""Group commit, positions, snapshots and what happens when the disk is full."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tidings.protocol.errors import Forbidden, StorageUnavailable
from tidings.protocol.ids import RoomId, StreamPosition, UserId
from tidings.rules.stream import Change, RoomForgotten
from tidings.server.storage.database import Connection, Database, Driver, ReadTx, WriteTx
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.sqlite import SqliteDriver

ROOM = RoomId("!room:here")


class CountingDriver:
    """A driver that counts what it begins, commits and rolls back."""

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.name = inner.name
        self.begun = self.committed = self.rolled_back = 0

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    def reader(self) -> AbstractAsyncContextManager[Connection]:
        return self.inner.reader()

    async def begin(self) -> tuple[Connection, int]:
        self.begun += 1
        return await self.inner.begin()

    async def commit(self, position: int) -> None:
        await self.inner.commit(position)
        self.committed += 1

    async def rollback(self) -> None:
        self.rolled_back += 1
        await self.inner.rollback()

    async def listen(self, heard: Callable[[int], None]) -> None:
        await self.inner.listen(heard)


class Book:
    """A database of names, and what it has published."""

    def __init__(self, url: str) -> None:
        is_sqlite = url.startswith("sqlite")
        inner: Driver = SqliteDriver(Path(url[10:])) if is_sqlite else PostgresDriver(url)
        self.driver = CountingDriver(inner)
        self.db = Database(self.driver)
        self.published: list[Change] = []
        self.asked: list[tuple[int, int]] = []
        self.db.publish = lambda changes, _position: self.published.extend(changes)
        self.db.read_changes = self._read_changes

    async def _read_changes(self, _tx: ReadTx, after: int, upto: int) -> list[Change]:
        self.asked.append((after, upto))
        return []

    @property
    def positions(self) -> list[int]:
        return [change.position for change in self.published]

    async def note(self, name: str, error: Exception | None = None) -> int:
        """Write a name at a position of its own; raise afterwards, if told to."""

        async def recipe(tx: WriteTx) -> int:
            position = await note(tx, name)
            if error is not None:
                raise error
            return position

        return await self.db.write(recipe)

    async def names(self) -> list[str]:
        async with self.db.read() as tx:
            rows = await tx.fetch(tuple[str], "SELECT alias FROM aliases ORDER BY created_ts")
        return [name for (name,) in rows]


async def note(tx: WriteTx, name: str) -> StreamPosition:
    position = tx.next_position()
    await tx.execute(
        "INSERT INTO aliases (alias, room_id, creator, created_ts) VALUES (?,?,?,?)",
        name, ROOM, "@alice:here", position,
    )  # fmt: skip
    tx.emit(RoomForgotten(position, UserId("@alice:here"), ROOM))
    return position


@pytest.fixture
async def book(db_url: str) -> AsyncGenerator[Book, None]:
    made = Book(db_url)
    await made.db.open()
    yield made
    await made.db.close()


@pytest.fixture
async def other_book(db_url: str) -> AsyncGenerator[Book, None]:
    """Another process on the same database."""
    made = Book(db_url)
    await made.db.open()
    yield made
    await made.db.close()


async def test_writes_that_wait_together_share_a_commit(book: Book) -> None:
    positions = await asyncio.gather(*(book.note(f"#{n}") for n in range(50)))
    assert positions == list(range(1, 51))
    assert book.driver.committed <= 3
    assert await book.names() == [f"#{n}" for n in range(50)]


async def test_changes_are_published_once_in_order_after_the_commit(book: Book) -> None:
    for _ in range(5):
        await asyncio.gather(*(book.note(f"#{len(book.published)}-{n}") for n in range(10)))
    assert book.positions == list(range(1, 51))
    assert book.db.position == 50
    async with book.db.read() as tx:
        assert await tx.snapshot_position() == 50


async def test_what_fails_takes_no_position_and_spoils_no_other(book: Book) -> None:
    writes = [book.note(f"#{n}", ValueError("broken") if n % 3 == 0 else None) for n in range(12)]
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(answer, ValueError) for answer in answers] == [n % 3 == 0 for n in range(12)]
    assert await book.names() == [f"#{n}" for n in range(12) if n % 3]
    assert book.positions == list(range(1, 9))


async def test_a_refusal_before_writing_costs_the_others_nothing(book: Book) -> None:
    async def refused(_tx: WriteTx) -> None:
        raise Forbidden("no")

    answers = await asyncio.gather(
        book.note("#1"), book.db.write(refused), book.note("#2"), return_exceptions=True
    )
    assert answers[0] == 1
    assert isinstance(answers[1], Forbidden)
    assert answers[2] == 2
    assert book.driver.rolled_back == 0


async def test_a_value_the_database_refuses_fails_one_recipe(book: Book) -> None:
    await book.note("#taken")
    answers = await asyncio.gather(
        book.note("#before"), book.note("#taken"), book.note("#after"), return_exceptions=True
    )
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert not isinstance(answers[1], StorageUnavailable)
    assert await book.names() == ["#taken", "#before", "#after"]
    assert book.positions == [1, 2, 3]


async def test_what_a_group_has_pending_is_gone_with_it(book: Book) -> None:
    seen: list[list[object]] = []

    async def leave(tx: WriteTx) -> None:
        seen.append([*tx.pending])
        tx.pending["key"] = "draft"
        await note(tx, f"#{len(seen)}")

    async def fail(tx: WriteTx) -> None:
        await leave(tx)
        raise ValueError("broken")

    await asyncio.gather(
        book.db.write(leave), book.db.write(leave), book.db.write(fail), return_exceptions=True
    )
    # Together they saw each other's draft; alone, after the rollback, none does.
    assert seen == [[], ["key"], ["key"], [], [], []]


async def test_a_recipe_that_writes_nothing_commits_nothing(book: Book) -> None:
    async def look(tx: WriteTx) -> int:
        return await tx.snapshot_position()

    assert await book.db.write(look) == 0
    assert book.driver.committed == 0
    assert book.published == []


async def test_a_caller_who_goes_away_does_not_undo_the_write(book: Book) -> None:
    task = asyncio.create_task(book.note("#left"))
    await asyncio.sleep(0)
    task.cancel()
    await book.note("#stayed")
    assert await book.names() == ["#left", "#stayed"]


async def test_a_reader_sees_one_moment(book: Book) -> None:
    await book.note("#1")
    async with book.db.read() as tx:
        assert await tx.snapshot_position() == 1
        await book.note("#2")
        assert await tx.snapshot_position() == 1
        assert await tx.fetch(tuple[str], "SELECT alias FROM aliases") == [("#1",)]
    assert await book.names() == ["#1", "#2"]


async def test_closing_commits_what_waits_and_refuses_the_rest(db_url: str) -> None:
    book = Book(db_url)
    await book.db.open()
    waiting = [asyncio.create_task(book.note(f"#{n}")) for n in range(5)]
    await asyncio.sleep(0)
    await book.db.close()
    assert await asyncio.gather(*waiting) == [1, 2, 3, 4, 5]
    with pytest.raises(StorageUnavailable):
        await book.note("#late")
    again = Book(db_url)
    await again.db.open()
    assert again.db.position == 5
    assert len(await again.names()) == 5
    await again.db.close()


async def test_two_processes_share_one_order(book: Book, other_book: Book) -> None:
    both = (book, other_book)
    positions = await asyncio.gather(
        *(both[n % 2].note(f"#{n}") for n in range(40)),
    )
    assert sorted(positions) == list(range(1, 41))
    for each in both:
        await each.db.catch_up()
        assert each.db.position == 40
        own = set(each.positions)
        caught_up = {place for after, upto in each.asked for place in range(after + 1, upto + 1)}
        # Each position was either published by this process or read from the other's commits.
        assert own | caught_up == set(range(1, 41))
        assert not own & caught_up


async def test_a_full_disk_refuses_writes_until_there_is_room(book: Book) -> None:
    if not isinstance(book.driver.inner, SqliteDriver):
        pytest.skip("PostgreSQL's disk cannot be filled from here")
    await book.note("#before")
    writer: sqlite3.Connection = book.driver.inner._writer.raw
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    refused = 0
    kept = ["#before"]
    for n in range(20):
        name = f"#{n}-" + "x" * 2000
        try:
            await book.note(name)
            kept.append(name)
        except StorageUnavailable:
            refused += 1
    assert refused > 10
    assert await book.names() == kept
    assert book.positions == list(range(1, len(kept) + 1))
    writer.execute("PRAGMA max_page_count = 100000")
    await book.note("#after")
    assert await book.names() == [*kept, "#after"]
