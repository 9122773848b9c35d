"""The indexer against real databases: it may die anywhere and misses nothing."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.rules.search_query import parse_query
from tidings.rules.stream import EventAppended
from tidings.server.services.search_indexer import EVENTS_AT_ONCE, SearchIndexer
from tidings.server.storage.database import Database, StorageError, WriteTx
from tidings.server.storage.events import EventStore
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.relations import RelationStore
from tidings.server.storage.search import (
    BEGINNING,
    Batch,
    Checkpoint,
    Document,
    SearchIndex,
    SearchSource,
    Sought,
)
from tidings.server.storage.search_postgresql import PostgresSearchIndex
from tidings.server.storage.search_sqlite import SqliteSearchIndex
from tidings.server.storage.sqlite import SqliteDriver


def sqlite_path(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else None


def index_at(url: str) -> SearchIndex:
    path = sqlite_path(url)
    return PostgresSearchIndex(url) if path is None else SqliteSearchIndex(path)


@pytest.fixture
async def db(db_url: str) -> AsyncGenerator[Database, None]:
    path = sqlite_path(db_url)
    database = Database(PostgresDriver(db_url) if path is None else SqliteDriver(path))
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def index(db_url: str) -> AsyncGenerator[SearchIndex, None]:
    opened = index_at(db_url)
    await opened.open()
    yield opened
    await opened.close()


async def say(db: Database, *bodies: str) -> list[Event]:
    said: list[Event] = []

    async def recipe(tx: WriteTx) -> None:
        said.clear()
        for body in bodies:
            position = tx.next_position()
            json = b'{"content":{"body":"%b","msgtype":"m.text"}}' % body.encode()
            event = Event(
                position, EventId(f"$e{position}"), RoomId("!r"), "m.room.message", None,
                UserId("@a:b"), 0, json,
            )  # fmt: skip
            await EventStore().append(tx, event, b"{}", 1)
            said.append(event)

    await db.write(recipe)
    return said


def indexer_of(db: Database, index: SearchIndex) -> SearchIndexer:
    return SearchIndexer(db, index, SearchSource(), EventStore(), RelationStore())


async def found(index: SearchIndex, term: str, limit: int = 1_000) -> list[StreamPosition]:
    hits = await index.find(Sought(parse_query(term).clauses, 2**62, limit))
    return [hit.position for hit in hits]


def positions(events: Sequence[Event]) -> list[StreamPosition]:
    return [event.position for event in reversed(events)]


class Failing:
    """An index whose database goes away for a while."""

    def __init__(self, index: SearchIndex, writes: int) -> None:
        self._index = index
        self._writes = writes

    async def apply(self, expected: Checkpoint, batch: Batch) -> bool:
        if self._writes == 0:
            raise StorageError("gone")
        self._writes -= 1
        return await self._index.apply(expected, batch)

    def __getattr__(self, name: str) -> object:
        return getattr(self._index, name)


async def test_it_goes_on_where_a_crash_ended_it(db: Database, index: SearchIndex) -> None:
    said = await say(db, *[f"needle {number}" for number in range(2 * EVENTS_AT_ONCE + 10)])
    dying = indexer_of(db, Failing(index, 2))  # type: ignore[arg-type]
    await dying.start()
    with pytest.raises(StorageError):
        await dying.catch_up()
    assert await found(index, "needle") == positions(said[: 2 * EVENTS_AT_ONCE])
    said += await say(db, "needle after the crash")
    reborn = indexer_of(db, index)
    await reborn.start()
    assert reborn.position == said[2 * EVENTS_AT_ONCE - 1].position
    await reborn.catch_up()
    assert await found(index, "needle") == positions(said)
    assert reborn.position == db.position


async def test_two_processes_index_everything_once(db: Database, index: SearchIndex) -> None:
    one, other = indexer_of(db, index), indexer_of(db, index)
    await one.start()
    await other.start()
    said = await say(db, "needle one")
    await one.catch_up()
    said += await say(db, "needle two")
    await other.catch_up()
    await one.catch_up()
    assert await found(index, "needle") == positions(said)


async def test_other_changes_do_not_stop_it(db: Database, index: SearchIndex) -> None:
    indexer = indexer_of(db, index)
    await indexer.start()
    said = await say(db, "needle one")
    await indexer.catch_up()

    async def nothing_to_index(tx: WriteTx) -> None:
        tx.next_position()

    await db.write(nothing_to_index)
    await indexer.catch_up()
    assert indexer.position == db.position
    said += await say(db, "needle two")
    await indexer.catch_up()
    assert await found(index, "needle") == positions(said)


async def test_an_index_of_another_stream_is_made_anew(db: Database, index: SearchIndex) -> None:
    stray = Document(StreamPosition(77), "needle", None)
    foreign = Checkpoint(1, 1, EventId("$foreign"))
    assert await index.apply(BEGINNING, Batch([stray], (), foreign))
    said = await say(db, "needle", "other")
    indexer = indexer_of(db, index)
    await indexer.start()
    await indexer.catch_up()
    assert await found(index, "needle") == positions(said[:1])


async def test_a_search_waits_for_what_was_said_before_it(db: Database, index: SearchIndex) -> None:
    indexer = indexer_of(db, index)
    await indexer.start()
    await indexer.catch_up()
    (event,) = await say(db, "needle")
    indexer.watch([EventAppended(event.position, event)])
    await indexer.wait_for_news()
    await indexer.catch_up()
    await indexer.wait_until_level()
    assert await found(index, "needle") == [event.position]


async def test_an_index_refuses_a_batch_from_another_place(index: SearchIndex) -> None:
    here = Checkpoint(5, 5, EventId("$five"))
    assert await index.apply(BEGINNING, Batch((), (), here))
    assert not await index.apply(BEGINNING, Batch((), (), Checkpoint(9, 9, EventId("$nine"))))
    assert await index.checkpoint() == here


async def test_a_spoilt_index_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "t-search.db").write_bytes(b"this is no database, it is a sentence" * 100)
    index = SqliteSearchIndex(tmp_path / "t.db")
    await index.open()
    assert await index.checkpoint() == BEGINNING
    await index.close()
