"""Indexes what is said, a moment later and several messages together."""

import asyncio
import logging
from contextlib import suppress

from tidings.protocol.errors import StorageUnavailable
from tidings.server.services.search_indexer import SearchIndexer
from tidings.server.storage.database import StorageError

log = logging.getLogger("tidings.search")

GATHER_S = 1.0
"""How long news comes together while nobody searches: large batches cost less."""
RETRY_S = 5.0
RECHECK_S = 60.0
"""Where another process writes so much that this one is not told of all of it."""


async def index_messages(indexer: SearchIndexer, gather_s: float = GATHER_S) -> None:
    """Run for ever; what fails is tried again from the checkpoint."""
    is_started = False
    while True:
        try:
            if not is_started:
                await indexer.start()
                is_started = True
            with suppress(TimeoutError):
                # Not `wait_for`: before Python 3.12 it may swallow the cancelling of this loop.
                async with asyncio.timeout(RECHECK_S):
                    await indexer.wait_for_news()
            await indexer.catch_up()
        except (StorageError, StorageUnavailable) as error:
            log.warning("search.index_failed error=%s", error)
            await asyncio.sleep(RETRY_S)
        await indexer.gather(gather_s)
