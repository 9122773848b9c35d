"""Passwords: argon2id, off the event loop, a few at a time.

Checking a password takes the same time whether or not there is one to check
against, so that nobody learns from the clock which accounts exist.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tidings.protocol.errors import LimitExceeded, WeakPassword
from tidings.server import config

T = TypeVar("T")

LENGTH_MAX = 1024
WAITING_MAX = 200
"""Hashes that may wait; whoever comes then is asked to come again."""
_NOBODYS = "a password that opens nothing"


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, settings: config.Passwords) -> None:
        self._length_min = settings.length_min
        self._hasher = PasswordHasher(
            time_cost=settings.iterations, memory_cost=settings.memory_kib, parallelism=1
        )
        self._threads = ThreadPoolExecutor(settings.hashes_at_once, thread_name_prefix="argon2")
        self._waiting = 0
        self._decoy = self._threads.submit(self._hasher.hash, _NOBODYS)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def check_strength(self, password: str) -> None:
        """Whether someone may choose the password; raises WeakPassword."""
        if len(password) < self._length_min:
            raise WeakPassword(f"A password must have at least {self._length_min} characters")
        if len(password) > LENGTH_MAX:
            raise WeakPassword(f"A password may have at most {LENGTH_MAX} characters")

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the one; without a hash, no takes as long to say."""
        if len(password) > LENGTH_MAX:
            return False
        return await self._run(lambda: self._verify(password, password_hash))

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other settings than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        if password_hash is None:
            password_hash, password = self._decoy.result(), f"not {_NOBODYS}"
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise LimitExceeded("Too many people are logging in; wait a moment", 2_000)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
