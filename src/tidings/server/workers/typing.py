"""Ends typing that nobody ended: one timer, and none while nobody types."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tidings.protocol.errors import StorageUnavailable
from tidings.server.live.typing import Typing

log = logging.getLogger("tidings.typing")

TICK_S = 1.0


async def end_typing(
    typing: Typing, end_expired: Callable[[], Awaitable[None]], tick_s: float = TICK_S
) -> None:
    """Run for ever."""
    while True:
        await typing.wait_for_somebody()
        await asyncio.sleep(tick_s)
        try:
            await end_expired()
        except StorageUnavailable as error:
            log.warning("typing.end_failed error=%s", error.message)
