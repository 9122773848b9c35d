"""The process in which data that nobody vouches for is decoded.

It has little memory, writes no files and is killed when it takes too long: a picture or a page
made to break its decoder takes down this process at most. It reads jobs from its standard input
and writes replies to its standard output, each a length and a message.
"""

import sys
from typing import BinaryIO, TypeAlias

import msgspec

from tidings.rules.open_graph import Page, parse_page
from tidings.server.services.pictures import Picture, TooManyPixels, Wanted, make_thumbnail, measure

MEMORY_BYTES = 1_500 * 1024 * 1024
LENGTH_BYTES = 4


class ThumbnailJob(msgspec.Struct, frozen=True, tag=True):
    """Make a thumbnail."""

    data: bytes
    wanted: Wanted
    pixels_max: int


class MeasureJob(msgspec.Struct, frozen=True, tag=True):
    """Say what picture this is."""

    data: bytes
    pixels_max: int


class PageJob(msgspec.Struct, frozen=True, tag=True):
    """Say what a page says about itself."""

    data: bytes
    content_type: str


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """The data cannot be decoded."""

    is_too_large: bool = False


Job: TypeAlias = ThumbnailJob | MeasureJob | PageJob
Reply: TypeAlias = Picture | Page | Refusal

_decode_job = msgspec.msgpack.Decoder(Job).decode
_encode = msgspec.msgpack.Encoder().encode


def main() -> None:
    """Take jobs until there are no more."""
    _give_up_rights()
    while (message := _read(sys.stdin.buffer)) is not None:
        reply = _encode(_run(_decode_job(message)))
        sys.stdout.buffer.write(len(reply).to_bytes(LENGTH_BYTES, "big") + reply)
        sys.stdout.buffer.flush()


def _run(job: Job) -> Reply:
    try:
        if isinstance(job, ThumbnailJob):
            return make_thumbnail(job.data, job.wanted, job.pixels_max)
        if isinstance(job, PageJob):
            return parse_page(job.data, job.content_type)
        return measure(job.data, job.pixels_max)
    except TooManyPixels:
        return Refusal(is_too_large=True)
    except Exception:  # noqa: BLE001 - a decoder may fail in any way at all
        return Refusal()


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    return stream.read(int.from_bytes(head, "big"))


def _give_up_rights() -> None:
    try:
        import os  # noqa: PLC0415 - the same
        import resource  # noqa: PLC0415 - not everywhere
    except ImportError:
        return
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    os.nice(10)


if __name__ == "__main__":
    main()
