"""Accounts, devices and tokens as they are kept."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tidings.protocol.ids import DeviceId, UserId
from tidings.rules.stream import Change, SessionChanged
from tidings.server.storage.accounts import AccountStore, NewUser, RegistrationTokenRow
from tidings.server.storage.auth_sessions import AuthSession, AuthSessionStore
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.devices import CHANGES_KEPT, DeviceStore, Token
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.profiles import ProfileStore
from tidings.server.storage.sqlite import SqliteDriver

T = TypeVar("T")
ALICE, BOB = UserId("@alice:localhost"), UserId("@bob:localhost")
DESK, PHONE = DeviceId("DESK"), DeviceId("PHONE")

accounts, devices, auth_sessions = AccountStore(), DeviceStore(), AuthSessionStore()
profiles = ProfileStore()


class Notebook:
    """A database that notes what it publishes."""

    def __init__(self, url: str) -> None:
        is_sqlite = url.startswith("sqlite")
        self.db = Database(SqliteDriver(Path(url[10:])) if is_sqlite else PostgresDriver(url))
        self.published: list[Change] = []
        self.db.publish = lambda changes, _: self.published.extend(changes)

    async def write(self, recipe: Callable[[WriteTx], Awaitable[T]]) -> T:
        return await self.db.write(recipe)


@pytest.fixture
async def book(db_url: str) -> AsyncGenerator[Notebook, None]:
    made = Notebook(db_url)
    await made.db.open()
    yield made
    await made.db.close()


async def test_a_name_is_given_once(book: Notebook) -> None:
    async def recipe(tx: WriteTx) -> list[bool]:
        new = NewUser(ALICE, "hash", 5, "alice")
        return [await accounts.insert(tx, new) for _ in range(2)]

    assert await book.write(recipe) == [True, False]
    async with book.db.read() as tx:
        alice = await accounts.find(tx, ALICE)
        assert alice is not None
        assert (alice.password_hash, alice.created_ts, alice.deactivated) == ("hash", 5, 0)
        assert await accounts.find(tx, BOB) is None
        assert [row.user_id for row in await accounts.everyone(tx)] == [ALICE]


async def test_an_outdated_hash_does_not_overwrite_a_new_password(book: Notebook) -> None:
    async def recipe(tx: WriteTx) -> str | None:
        await accounts.insert(tx, NewUser(ALICE, "old", 0, ""))
        await accounts.set_password_hash(tx, ALICE, "new")
        await accounts.replace_password_hash(tx, ALICE, "old", "old, rehashed")
        row = await accounts.find(tx, ALICE)
        return row.password_hash if row else None

    assert await book.write(recipe) == "new"


@pytest.mark.parametrize(
    ("row", "now_ms", "uses"),
    [
        (RegistrationTokenRow("t", None, 0, None, 0), 10**12, [True, True, True]),
        (RegistrationTokenRow("t", 2, 0, None, 0), 10**12, [True, True, False]),
        (RegistrationTokenRow("t", 2, 1, None, 0), 10**12, [True, False, False]),
        (RegistrationTokenRow("t", None, 0, 100, 0), 99, [True, True, True]),
        (RegistrationTokenRow("t", None, 0, 100, 0), 100, [False, False, False]),
        (RegistrationTokenRow("other", None, 0, None, 0), 0, [False, False, False]),
    ],
)
async def test_registration_tokens_end(
    book: Notebook, row: RegistrationTokenRow, now_ms: int, uses: list[bool]
) -> None:
    async def recipe(tx: WriteTx) -> list[bool]:
        assert await accounts.insert_registration_token(tx, row)
        assert not await accounts.insert_registration_token(tx, row)
        return [await accounts.use_registration_token(tx, "t", now_ms) for _ in range(3)]

    assert await book.write(recipe) == uses
    if row.token == "t":
        assert row.is_valid(now_ms) == uses[0]


async def add_device(book: Notebook, user_id: UserId, device_id: DeviceId) -> None:
    async def recipe(tx: WriteTx) -> None:
        await devices.ensure(tx, user_id, device_id, "name", 0)
        token = Token(f"{user_id}{device_id}".encode(), user_id, device_id, 0)
        await devices.insert_access_token(tx, token, None)
        await devices.insert_refresh_token(tx, token)

    await book.write(recipe)


async def add_users(book: Notebook) -> None:
    async def recipe(tx: WriteTx) -> None:
        for user_id in (ALICE, BOB):
            await accounts.insert(tx, NewUser(user_id, None, 0, ""))

    await book.write(recipe)
    for user_id, device_id in ((ALICE, DESK), (ALICE, PHONE), (BOB, PHONE)):
        await add_device(book, user_id, device_id)


async def holders(book: Notebook) -> list[bool]:
    """Whether the tokens of Alice's desk, Alice's phone and Bob's phone are good."""
    async with book.db.read() as tx:
        return [
            await devices.find_holder(tx, f"{user_id}{device_id}".encode()) is not None
            for user_id, device_id in ((ALICE, DESK), (ALICE, PHONE), (BOB, PHONE))
        ]


async def test_a_device_ends_with_its_tokens(book: Notebook) -> None:
    await add_users(book)
    assert await holders(book) == [True, True, True]

    async def recipe(tx: WriteTx) -> None:
        await devices.delete(tx, ALICE, PHONE)
        await devices.delete(tx, ALICE, DeviceId("NONE"))

    await book.write(recipe)
    assert await holders(book) == [True, False, True]
    async with book.db.read() as tx:
        assert await devices.find_refresh_token(tx, f"{ALICE}{PHONE}".encode()) is None
        assert [row.device_id for row in await devices.of(tx, ALICE)] == [DESK]


async def test_all_devices_end_but_one(book: Notebook) -> None:
    await add_users(book)

    async def recipe(tx: WriteTx) -> list[DeviceId]:
        return await devices.delete_all(tx, ALICE, DESK)

    assert await book.write(recipe) == [PHONE]
    assert await holders(book) == [True, False, True]


async def test_a_device_that_comes_back_has_no_tokens_and_its_old_name(book: Notebook) -> None:
    await add_users(book)

    async def recipe(tx: WriteTx) -> None:
        await devices.ensure(tx, ALICE, PHONE, "other", 9)

    await book.write(recipe)
    assert await holders(book) == [True, False, True]
    async with book.db.read() as tx:
        device = await devices.find(tx, ALICE, PHONE)
    assert device is not None
    assert device.display_name == "name"


async def test_what_is_published_can_be_read_back(book: Notebook) -> None:
    await add_users(book)
    before = book.db.position
    book.published.clear()

    async def recipe(tx: WriteTx) -> None:
        await devices.rename(tx, ALICE, DESK, "Desk")
        await devices.rename(tx, ALICE, DeviceId("NONE"), "None")
        await devices.delete(tx, BOB, PHONE)
        await devices.note_all_changed(tx, ALICE)

    await book.write(recipe)
    async with book.db.read() as tx:
        read = list(await devices.changed(tx, before, book.db.position))
        assert not list(await devices.changed(tx, book.db.position, book.db.position + 9))
    latest = {(c.user_id, c.device_id): c for c in book.published if isinstance(c, SessionChanged)}
    assert sorted(c.position for c in read) == sorted(c.position for c in latest.values())
    assert set(latest) == {(ALICE, DESK), (ALICE, PHONE), (BOB, PHONE)}


async def test_changes_long_past_are_forgotten(book: Notebook) -> None:
    await add_users(book)

    async def recipe(tx: WriteTx) -> None:
        tx.position += CHANGES_KEPT
        await devices.rename(tx, BOB, PHONE, "Phone")

    await book.write(recipe)
    async with book.db.read() as tx:
        assert [c.user_id for c in await devices.changed(tx, 0, 10**12)] == [BOB]


async def test_login_tokens_are_taken_once_and_in_time(book: Notebook) -> None:
    async def recipe(tx: WriteTx) -> list[UserId | None]:
        await devices.insert_login_token(tx, b"early", ALICE, 0, 10)
        await devices.insert_login_token(tx, b"token", ALICE, 20, 100)
        taken = [await devices.take_login_token(tx, b"token", now) for now in (100, 99, 99)]
        return [*taken, await devices.take_login_token(tx, b"early", 5)]

    assert await book.write(recipe) == [None, ALICE, None, None]


async def test_authentication_sessions(book: Notebook) -> None:
    begun = AuthSession(b"hash", "register", None, b"request", "", None, 1_000)
    further = AuthSession(b"hash", "other", ALICE, b"x", "m.login.dummy", "token", 9)

    async def recipe(tx: WriteTx) -> None:
        await auth_sessions.save(tx, begun)
        await auth_sessions.save(tx, further)

    await book.write(recipe)
    async with book.db.read() as tx:
        kept = await auth_sessions.find(tx, b"hash", 999)
        assert await auth_sessions.find(tx, b"hash", 1_000) is None
    # Only progress is taken up: what a session was begun for never changes.
    assert kept == AuthSession(
        b"hash", "register", None, b"request", "m.login.dummy", "token", 1_000
    )

    async def end(tx: WriteTx) -> None:
        await auth_sessions.delete_before(tx, 1_000)

    await book.write(end)
    async with book.db.read() as tx:
        assert await auth_sessions.find(tx, b"hash", 0) is None


async def test_profiles_of_many_at_once(book: Notebook) -> None:
    async def recipe(tx: WriteTx) -> None:
        await profiles.set(tx, ALICE, "displayname", b'"Alice"')
        await profiles.set(tx, ALICE, "m.tz", b'"UTC"')
        await profiles.set(tx, BOB, "avatar_url", b'"mxc://a/b"')
        await profiles.set(tx, BOB, "avatar_url", b'"mxc://a/c"')

    await book.write(recipe)
    carol = UserId("@carol:localhost")
    async with book.db.read() as tx:
        assert await profiles.shown(tx, [ALICE, BOB, carol]) == {
            ALICE: {"displayname": "Alice"},
            BOB: {"avatar_url": "mxc://a/c"},
            carol: {},
        }
        assert await profiles.shown(tx, []) == {}
        assert await profiles.of(tx, ALICE) == {"displayname": b'"Alice"', "m.tz": b'"UTC"'}
