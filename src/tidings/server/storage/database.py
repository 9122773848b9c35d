"""The database: group commit for writers, snapshots for readers, one counter of positions.

Theory of operation. Every write is a *recipe*: an async function of a
`WriteTx`. Recipes that wait at the same time share one transaction: it takes
the counter (and with it the right to write), runs the recipes one after the
other and commits them together. Positions are drawn from the counter inside
that transaction, so the order of positions is the order of commits, in one
process or in many. Only after the commit are the changes published and the
callers answered: nothing acknowledged can be lost, nothing visible is undone.

A recipe has no effect except through its transaction, so a group in which one
recipe fails after it has written is rolled back and its recipes run again,
each alone.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from tidings.protocol.errors import MatrixError, StorageUnavailable
from tidings.protocol.ids import StreamPosition
from tidings.rules.stream import Change

log = logging.getLogger("tidings.database")

T = TypeVar("T")
Value: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = tuple[Value, ...]

GROUP_MAX = 64
"""Recipes in a transaction: bounds how long one commit keeps the others waiting."""
QUEUE_MAX = 10_000


class StorageError(Exception):
    """What a driver raises when the database refuses work: full, gone, locked."""


class Connection(Protocol):
    """A driver's connection; the two implementations are SQLite and PostgreSQL."""

    async def fetch(self, sql: str, args: Sequence[Value]) -> list[Row]: ...
    async def scan(self, sql: str, args: Sequence[Value]) -> list[Row]: ...
    async def execute(self, sql: str, args: Sequence[Value]) -> int: ...
    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None: ...


class Driver(Protocol):
    """What tells the databases apart. `listen` calls back when another process has committed."""

    name: str

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    def reader(self) -> AbstractAsyncContextManager[Connection]: ...
    async def begin(self) -> tuple[Connection, int]: ...
    async def commit(self, position: int) -> None: ...
    async def rollback(self) -> None: ...
    async def listen(self, heard: Callable[[int], None]) -> None: ...


class ReadTx:
    """One snapshot of the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.queries = 0

    async def fetch(self, kind: type[T], sql: str, *args: Value) -> list[T]:
        """Rows of a query that is known to be short, as values of `kind`."""
        self.queries += 1
        rows = await self._connection.fetch(sql, args)
        return msgspec.convert(rows, list[kind]) if rows else []  # type: ignore[valid-type]

    async def scan(self, kind: type[T], sql: str, *args: Value) -> list[T]:
        """Rows of a query that may take a while; it leaves the event loop meanwhile."""
        self.queries += 1
        rows = await self._connection.scan(sql, args)
        return msgspec.convert(rows, list[kind]) if rows else []  # type: ignore[valid-type]

    async def find(self, kind: type[T], sql: str, *args: Value) -> T | None:
        """The first row of a query, if there is one."""
        self.queries += 1
        rows = await self._connection.fetch(sql, args)
        return msgspec.convert(rows[0], kind) if rows else None

    async def find_value(self, kind: type[T], sql: str, *args: Value) -> T | None:
        """The first column of the first row; None also when the column is NULL."""
        self.queries += 1
        rows = await self._connection.fetch(sql, args)
        if not rows or rows[0][0] is None:
            return None
        return msgspec.convert(rows[0][0], kind)

    async def snapshot_position(self) -> int:
        """The last position that the snapshot shows; not always the one published last."""
        return await self.find_value(int, "SELECT position FROM stream WHERE id = 1") or 0


class WriteTx(ReadTx):
    """The transaction that a group of recipes shares."""

    def __init__(self, connection: Connection, position: int) -> None:
        super().__init__(connection)
        self.position = position
        self.changes: list[Change] = []
        self.writes = 0
        self.pending: dict[object, object] = {}
        """What earlier recipes of the group made of replicas, by owner's key; gone on rollback."""

    async def execute(self, sql: str, *args: Value) -> int:
        """Run a statement that writes; the number of rows it touched."""
        self.writes += 1
        self.queries += 1
        return await self._connection.execute(sql, args)

    async def execute_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run a statement that writes for each of the rows."""
        self.writes += 1
        self.queries += 1
        await self._connection.execute_many(sql, rows)

    def next_position(self) -> StreamPosition:
        """The next place in the order of everything durable."""
        self.position += 1
        self.writes += 1
        return StreamPosition(self.position)

    def emit(self, change: Change) -> None:
        """Publish a change once the transaction is committed."""
        self.changes.append(change)


ChangeSource: TypeAlias = Callable[[ReadTx, int, int], Awaitable[list[Change] | None]]
Recipe: TypeAlias = Callable[[WriteTx], Awaitable[T]]


class _Job(Generic[T]):
    __slots__ = ("error", "future", "recipe", "value")

    def __init__(self, recipe: Recipe[T], future: "asyncio.Future[T]") -> None:
        self.recipe = recipe
        self.future = future
        self.value: T | None = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():  # its caller has gone away
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)  # type: ignore[arg-type]


class _GroupSpoiltError(Exception):
    """A recipe failed after writing: the group must be undone."""


class Database:
    """Group commit over a driver. One instance for each process and database."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._jobs: deque[_Job[object]] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._applying = asyncio.Lock()
        self._closing = False
        self._followers: set[asyncio.Future[None]] = set()
        self._heard_of = 0
        self.position = 0
        """Everything up to here is committed and published in this process."""
        self.queries = 0
        """How many statements have run; the benchmark asks what a request adds."""
        self.publish: Callable[[Sequence[Change], int], None] = lambda _changes, _position: None
        self.read_changes: ChangeSource | None = None
        """Reads what other processes committed in (after, upto]; None when that is too much."""
        self.reset: Callable[[ReadTx, int], Awaitable[None]] | None = None
        """Called instead of `publish` at the start, and when there is too much to catch up with."""

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._driver.name

    async def open(self) -> None:
        """Connect; raises StorageError with a sentence that says what to do."""
        await self._driver.open()
        async with self.read() as tx:
            self.position = await tx.snapshot_position()
            if self.reset is not None:
                await self.reset(tx, self.position)
        self._task = asyncio.create_task(self._run(), name="group commit")
        await self._driver.listen(self._heard)

    async def close(self) -> None:
        """Commit what waits, then disconnect."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        await self._driver.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadTx]:
        """One snapshot, for as long as the block runs; raises StorageUnavailable."""
        try:
            async with self._driver.reader() as connection:
                tx = ReadTx(connection)
                try:
                    yield tx
                finally:
                    self.queries += tx.queries
        except StorageError as error:
            raise StorageUnavailable(f"The message store cannot be read now: {error}") from error

    async def write(self, recipe: Recipe[T]) -> T:
        """Run the recipe in the next group; returns after the commit, raises what it raised."""
        if self._closing:
            raise StorageUnavailable("The server is shutting down")
        if len(self._jobs) >= QUEUE_MAX:
            raise StorageUnavailable("Too many writes are waiting; try again shortly")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(recipe, future))  # type: ignore[arg-type]
        self._wake.set()
        return await future

    async def _run(self) -> None:
        while not (self._closing and not self._jobs):
            await self._wake.wait()
            self._wake.clear()
            while self._jobs:
                group = [self._jobs.popleft() for _ in range(min(GROUP_MAX, len(self._jobs)))]
                await self._settle_group(group)

    async def _settle_group(self, group: list[_Job[object]]) -> None:
        try:
            await self._commit_group(group)
        except _GroupSpoiltError:
            for job in group:
                job.error = job.value = None
                await self._settle_alone(job)
            return
        except StorageError as error:
            refused = StorageUnavailable(f"The message store cannot take writes now: {error}")
            for job in group:
                job.error = refused
        except Exception as error:  # noqa: BLE001 - the caller gets it; the writer must live on
            for job in group:
                job.error = error
        for job in group:
            job.settle()

    async def _settle_alone(self, job: _Job[object]) -> None:
        try:
            await self._commit_group([job])
        except _GroupSpoiltError:
            pass  # its own error is already noted
        except StorageError as error:
            job.error = StorageUnavailable(f"The message store cannot take writes now: {error}")
        except Exception as error:  # noqa: BLE001 - as above
            job.error = error
        job.settle()

    async def _commit_group(self, group: list[_Job[object]]) -> None:
        async with self._applying:
            connection, position = await self._driver.begin()
            try:
                if position != self.position:
                    await self._catch_up(ReadTx(connection), position)
                tx = WriteTx(connection, position)
                for job in group:
                    await self._run_recipe(tx, job)
            except BaseException:
                await self._driver.rollback()
                raise
            self.queries += tx.queries
            if tx.writes == 0:
                await self._driver.rollback()
                return
            await self._driver.commit(tx.position)
            self.position = tx.position
            self.publish(tx.changes, tx.position)

    @staticmethod
    async def _run_recipe(tx: WriteTx, job: _Job[object]) -> None:
        writes = tx.writes
        try:
            job.value = await job.recipe(tx)
        except StorageError:
            raise
        except Exception as error:
            job.error = error
            if tx.writes != writes or not isinstance(error, MatrixError):
                raise _GroupSpoiltError from error

    def _heard(self, position: int) -> None:
        if position > max(self.position, self._heard_of):
            self._heard_of = position
            task = asyncio.ensure_future(self._follow(position))
            self._followers.add(task)
            task.add_done_callback(self._followers.discard)

    async def _follow(self, position: int) -> None:
        try:
            async with self._applying:
                if position > self.position:  # it is not a commit of our own
                    await self._read_others()
        except StorageUnavailable as error:
            self._heard_of = self.position  # the next notice, or the next write, tries again
            log.warning("database.catch_up_failed error=%s", error.message)

    async def catch_up(self) -> None:
        """Publish what other processes have committed, without waiting to be told of it."""
        async with self._applying:
            await self._read_others()

    async def _read_others(self) -> None:
        async with self.read() as tx:
            position = await tx.snapshot_position()
            if position > self.position:
                await self._catch_up(tx, position)

    async def _catch_up(self, tx: ReadTx, position: int) -> None:
        changes = None
        if self.read_changes is not None:
            changes = await self.read_changes(tx, self.position, position)
        self.position = position
        if changes is not None:
            self.publish(changes, position)
        elif self.reset is not None:
            await self.reset(tx, position)
