"""The places in the stream that clients are handed: one kind of token for every endpoint.

Law: `s<position>` stands between the change at that position and the next one.
/sync's `since` and `next_batch`, `prev_batch`, and the `from`, `to`, `start` and
`end` of history are all such places. Going backwards from a token begins with
the event at its position; going forwards begins with the one after it.
"""

from tidings.protocol.errors import InvalidParam
from tidings.protocol.ids import StreamPosition

_POSITION_DIGITS_MAX = 18


def format_token(position: int) -> str:
    """The token for the place right after a position."""
    return f"s{position}"


def parse_token(text: str) -> StreamPosition:
    """The position a token stands right after; raises InvalidParam."""
    digits = text[1:]
    if (
        not text.startswith("s")
        or not (digits.isascii() and digits.isdigit())
        or len(digits) > _POSITION_DIGITS_MAX
    ):
        raise InvalidParam("Not a token of this server: it must be one that was handed out")
    return StreamPosition(int(digits))
