"""The sessions in memory, over a real database."""

from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import pytest

from tidings.protocol.errors import UnknownToken, UserLocked
from tidings.protocol.ids import DeviceId, StreamPosition, UserId
from tidings.rules.stream import Change, SessionChanged
from tidings.server.live.sessions import Sessions, hash_token
from tidings.server.storage.accounts import AccountStore, NewUser
from tidings.server.storage.database import Database, Driver, ReadTx, WriteTx
from tidings.server.storage.devices import DeviceStore, HolderRow, Token
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.sqlite import SqliteDriver

ALICE = UserId("@alice:localhost")
PHONE = DeviceId("PHONE")


class WatchedDevices(DeviceStore):
    """Counts how often a token is looked up, and lets something happen meanwhile."""

    def __init__(self) -> None:
        self.lookups = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def find_holder(self, tx: ReadTx, token_hash: bytes) -> HolderRow | None:
        self.lookups += 1
        row = await super().find_holder(tx, token_hash)
        self.meanwhile()
        return row


class World:
    """A database with one user, whose device has the token `secret`."""

    def __init__(self, driver: Driver) -> None:
        self.now = 1_000
        self.db = Database(driver)
        self.devices = WatchedDevices()
        self.sessions = Sessions(self.db, self.devices, lambda: self.now, held_max=2)
        self.db.publish = self.publish

    def publish(self, changes: Sequence[Change], position: int) -> None:
        for change in changes:
            self.sessions.apply(change)

    async def open(self) -> None:
        await self.db.open()

        async def recipe(tx: WriteTx) -> None:
            await AccountStore().insert(tx, NewUser(ALICE, None, 0, "", is_admin=True))
            await self.devices.ensure(tx, ALICE, PHONE, None, 0)

        await self.db.write(recipe)
        await self.add_token("secret")

    async def add_token(self, token: str, expires_ts: int | None = None) -> None:
        row = Token(hash_token(token), ALICE, PHONE, 0)

        async def recipe(tx: WriteTx) -> None:
            await self.devices.insert_access_token(tx, row, expires_ts)

        await self.db.write(recipe)

    async def write(self, sql: str, *args: str | int) -> None:
        async def recipe(tx: WriteTx) -> None:
            await tx.execute(sql, *args)

        await self.db.write(recipe)

    async def queries(self, token: str) -> bool:
        """Whether asking for the token reads the database."""
        before = self.devices.lookups
        await self.sessions.requester_of(token)
        return self.devices.lookups > before


@pytest.fixture
async def world(db_url: str) -> AsyncGenerator[World, None]:
    is_sqlite = db_url.startswith("sqlite")
    made = World(SqliteDriver(Path(db_url[10:])) if is_sqlite else PostgresDriver(db_url))
    await made.open()
    yield made
    await made.sessions.close()
    await made.db.close()


async def test_a_token_is_read_once(world: World) -> None:
    requester = await world.sessions.requester_of("secret", "1.2.3.4")
    assert (requester.user_id, requester.device_id) == (ALICE, PHONE)
    assert requester.is_admin
    assert not requester.is_guest
    assert requester.token_hash == hash_token("secret")
    assert not await world.queries("secret")


async def test_unknown_tokens_are_refused(world: World) -> None:
    with pytest.raises(UnknownToken) as caught:
        await world.sessions.requester_of("guess")
    assert caught.value.extra["soft_logout"] is False


async def test_a_change_of_the_device_is_seen_at_once(world: World) -> None:
    await world.sessions.requester_of("secret")

    async def recipe(tx: WriteTx) -> None:
        await world.devices.delete(tx, ALICE, PHONE)

    await world.db.write(recipe)
    with pytest.raises(UnknownToken):
        await world.sessions.requester_of("secret")


async def test_a_change_while_a_token_is_read_keeps_it_from_being_held(world: World) -> None:
    ended = SessionChanged(StreamPosition(9), ALICE, PHONE)
    world.devices.meanwhile = lambda: world.sessions.apply(ended)
    await world.sessions.requester_of("secret")
    world.devices.meanwhile = lambda: None
    assert await world.queries("secret")
    assert not await world.queries("secret")


async def test_changes_of_other_devices_drop_nothing(world: World) -> None:
    await world.sessions.requester_of("secret")
    other = SessionChanged(StreamPosition(9), ALICE, DeviceId("OTHER"))
    world.sessions.apply(other)
    assert not await world.queries("secret")
    world.sessions.clear()
    assert await world.queries("secret")


async def test_an_expired_token_is_a_soft_logout_even_when_held(world: World) -> None:
    await world.add_token("short", expires_ts=2_000)
    await world.sessions.requester_of("short")
    world.now = 2_000
    with pytest.raises(UnknownToken) as caught:
        await world.sessions.requester_of("short")
    assert caught.value.extra["soft_logout"] is True


async def test_whoever_is_locked_may_only_log_out(world: World) -> None:
    await world.write("UPDATE users SET locked = 1")
    with pytest.raises(UserLocked) as caught:
        await world.sessions.requester_of("secret")
    assert caught.value.extra["soft_logout"] is True
    assert (await world.sessions.holder_of("secret")).user_id == ALICE


async def test_tokens_of_a_deactivated_account_are_unknown(world: World) -> None:
    await world.write("UPDATE users SET deactivated = 1")
    with pytest.raises(UnknownToken):
        await world.sessions.requester_of("secret")


async def test_only_the_last_used_are_held(world: World) -> None:
    for name in ("one", "two"):
        await world.add_token(name)
    for name in ("one", "secret", "one", "two"):
        await world.sessions.requester_of(name)
    assert not await world.queries("one")
    assert not await world.queries("two")
    assert await world.queries("secret")


async def seen(world: World) -> tuple[int | None, str | None]:
    async with world.db.read() as tx:
        device = await world.devices.find(tx, ALICE, PHONE)
    assert device is not None
    return device.last_seen_ts, device.last_seen_ip


async def test_devices_are_noted_as_last_seen(world: World) -> None:
    await world.add_token("second")
    await world.sessions.requester_of("second", "1.1.1.1")
    world.now = 5_000
    await world.sessions.requester_of("secret", "2.2.2.2")
    assert await seen(world) == (None, None)
    await world.sessions.flush()
    assert await seen(world) == (5_000, "2.2.2.2")
    position = world.db.position
    await world.sessions.flush()
    assert world.db.position == position
    world.now = 6_000
    await world.sessions.requester_of("secret")
    await world.sessions.flush()
    assert await seen(world) == (6_000, None)
