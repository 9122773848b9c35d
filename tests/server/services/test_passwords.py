import asyncio
import time
from collections.abc import Generator

import pytest

from tidings.protocol.errors import LimitExceeded, WeakPassword
from tidings.server import config
from tidings.server.services.passwords import WAITING_MAX, Passwords

CHEAP = config.Passwords(memory_kib=8, iterations=1)


@pytest.fixture
def passwords() -> Generator[Passwords, None, None]:
    made = Passwords(CHEAP)
    yield made
    made.close()


async def test_a_password_opens_its_own_hash_only(passwords: Passwords) -> None:
    kept = await passwords.hash("open sesame")
    assert "open sesame" not in kept
    assert kept.startswith("$argon2id$")
    assert await passwords.verify("open sesame", kept)
    assert not await passwords.verify("open barley", kept)
    assert kept != await passwords.hash("open sesame")


@pytest.mark.parametrize("kept", [None, "", "not a hash", "$argon2id$v=19$m=8,t=1,p=1$x"])
async def test_what_is_no_hash_opens_to_nobody(passwords: Passwords, kept: str | None) -> None:
    assert not await passwords.verify("a password that opens nothing", kept)
    assert not await passwords.verify("", kept)


async def test_hashes_of_other_settings_are_told(passwords: Passwords) -> None:
    kept = await passwords.hash("open sesame")
    assert not passwords.is_outdated(kept)
    stricter = Passwords(config.Passwords(memory_kib=16, iterations=1))
    assert stricter.is_outdated(kept)
    assert await stricter.verify("open sesame", kept)
    stricter.close()


def test_passwords_have_a_length(passwords: Passwords) -> None:
    passwords.check_strength("x" * 8)
    for weak in ("", "x" * 7, "x" * 2_000):
        with pytest.raises(WeakPassword):
            passwords.check_strength(weak)


async def test_only_so_many_wait(passwords: Passwords) -> None:
    kept = await passwords.hash("open sesame")
    tries = [passwords.verify("open sesame", kept) for _ in range(WAITING_MAX + 20)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(result is True for result in results) == WAITING_MAX
    assert sum(isinstance(result, LimitExceeded) for result in results) == 20


async def test_an_unknown_user_costs_as_much_time() -> None:
    passwords = Passwords(config.Passwords(memory_kib=4_096, iterations=2))
    kept = await passwords.hash("open sesame")

    async def fastest(password_hash: str | None) -> float:
        times = []
        for _ in range(7):
            begun = time.process_time()  # whatever else the machine does
            await passwords.verify("wrong", password_hash)
            times.append(time.process_time() - begun)
        return min(times)

    known, unknown = await fastest(kept), await fastest(None)
    assert 0.5 < known / unknown < 2
    passwords.close()
