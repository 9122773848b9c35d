"""Notes which media is used, and sweeps away what is not needed."""

import asyncio
import logging
import time

from tidings.protocol.errors import StorageUnavailable
from tidings.server.services.media import Media
from tidings.server.services.media_retention import MediaRetention

log = logging.getLogger("tidings.media")

NOTE_S = 60.0
SWEEP_S = 3600.0


async def keep_media(
    media: Media, retention: MediaRetention, note_s: float = NOTE_S, sweep_s: float = SWEEP_S
) -> None:
    """Run for ever."""
    next_sweep = time.monotonic() + note_s
    while True:
        await asyncio.sleep(note_s)
        try:
            await media.note_uses()
            if time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + sweep_s
                swept = await retention.sweep(time.time_ns() // 1_000_000)
                if swept.media or swept.files:
                    log.info("media.swept media=%d files=%d", swept.media, swept.files)
        except (StorageUnavailable, OSError) as error:
            log.warning("media.sweep_failed error=%s", error)
