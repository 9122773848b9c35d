"""Deletes notices that are too old to be counted."""

import asyncio
import logging

from tidings.protocol.errors import StorageUnavailable
from tidings.server.services.notice_trimmer import NoticeTrimmer

log = logging.getLogger("tidings.notices")

PAUSE_S = 1.0
"""Between two deletions: they are in no hurry, and senders are."""


async def trim_notices(trimmer: NoticeTrimmer, pause_s: float = PAUSE_S) -> None:
    """Run for ever."""
    while True:
        await trimmer.wait()
        await asyncio.sleep(pause_s)
        try:
            await trimmer.trim()
        except StorageUnavailable as error:
            log.warning("notices.trim_failed error=%s", error.message)
