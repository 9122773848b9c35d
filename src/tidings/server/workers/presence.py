"""Publishes changes of presence together, and looks at who has gone away."""

import asyncio
import logging

from tidings.protocol.errors import StorageUnavailable
from tidings.server.services.presence import PresenceTracker

log = logging.getLogger("tidings.presence")


async def publish_presence(tracker: PresenceTracker, flush_ms: int) -> None:
    """Run for ever; changes are gathered for `flush_ms` before they are published."""
    while True:
        await tracker.wait_until_due()
        await asyncio.sleep(flush_ms / 1000)
        tracker.expire()
        try:
            await tracker.flush()
        except StorageUnavailable as error:
            log.warning("presence.flush_failed error=%s", error.message)
