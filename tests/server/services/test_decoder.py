import pytest

from tests.api.pictures import picture
from tidings.protocol.errors import LimitExceeded
from tidings.server.services import decoder as module
from tidings.server.services.decoder import Decoder
from tidings.server.services.decoder_process import MeasureJob, Refusal, ThumbnailJob
from tidings.server.services.pictures import Picture, Wanted

GOOD = MeasureJob(picture(3, 2), 100)


async def test_a_job_that_takes_too_long_is_given_up() -> None:
    decoder = Decoder(timeout_s=0.001)
    try:
        async with decoder.turn() as run:
            wanted = Wanted(2000, 2000)
            slow = ThumbnailJob(picture(4000, 4000), wanted, 50_000_000)
            assert await run(slow) == Refusal(is_too_large=True)
        decoder._timeout_s = 20.0
        async with decoder.turn() as run:  # in another process
            assert await run(GOOD) == Picture("image/png", 3, 2)
    finally:
        await decoder.close()


async def test_a_process_that_dies_is_replaced() -> None:
    decoder = Decoder()
    try:
        async with decoder.turn() as run:
            assert await run(GOOD) == Picture("image/png", 3, 2)
            assert decoder._process is not None
            decoder._process.kill()
            await decoder._process.wait()
            assert await run(GOOD) == Refusal()
            assert await run(GOOD) == Picture("image/png", 3, 2)
    finally:
        await decoder.close()


async def test_the_queue_is_bounded() -> None:
    decoder = Decoder()
    decoder._waiting = module.WAITING_MAX
    with pytest.raises(LimitExceeded):
        async with decoder.turn():
            pass
