"""Which part of a file a Range header asks for (RFC 9110, section 14).

Only one range at a time is given; whoever asks for several gets the whole, as is allowed.
"""

import re

import msgspec

_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*\Z")


class Span(msgspec.Struct, frozen=True):
    """Bytes from `first` on."""

    first: int
    length: int

    def content_range(self, size: int) -> str:
        """The Content-Range header of an answer with these bytes of so many."""
        return f"bytes {self.first}-{self.first + self.length - 1}/{size}"


class NotSatisfiable(Exception):
    """The range begins behind the end."""


def parse_range(header: str | None, size: int) -> Span | None:
    """The span that is asked for; None for the whole. Raises NotSatisfiable."""
    found = _RANGE.match(header) if header is not None else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":  # the last bytes
        length = min(int(found[2]), size)
        if length == 0:
            raise NotSatisfiable
        return Span(size - length, length)
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None  # no range at all: "invalid", to be ignored
    if first >= size:
        raise NotSatisfiable
    return Span(first, min(last, size - 1) - first + 1)
