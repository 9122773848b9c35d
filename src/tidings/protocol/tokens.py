"""The places in the stream that clients are handed: one kind of token for every endpoint.

Law: `s<position>` stands between the change at that position and the next one.
/sync's `since` and `next_batch`, `prev_batch`, and the `from`, `to`, `start` and
`end` of history are all such places. Going backwards from a token begins with
the event at its position; going forwards begins with the one after it.
`s<position>~<queue position>` says as well that messages to the device come
only after the second one: there were more than one answer of /sync takes.
"""

from tidings.protocol.errors import InvalidParam
from tidings.protocol.ids import StreamPosition

_POSITION_DIGITS_MAX = 18
_NOT_HANDED_OUT = "Not a token of this server: it must be one that was handed out"


def format_token(position: int, queue_position: int | None = None) -> str:
    """The token for the place right after a position."""
    return f"s{position}" if queue_position is None else f"s{position}~{queue_position}"


def parse_token(text: str) -> StreamPosition:
    """The position a token stands right after; raises InvalidParam."""
    return parse_sync_token(text)[0]


def parse_sync_token(text: str) -> tuple[StreamPosition, StreamPosition | None]:
    """The same, and where the device's messages begin if that is before it."""
    if "~" not in text and text.startswith("s"):  # nearly all
        return _position(text[1:]), None
    digits, tilde, queue_digits = text[1:].partition("~")
    if not text.startswith("s"):
        raise InvalidParam(_NOT_HANDED_OUT)
    position = _position(digits)
    if not tilde:
        return position, None
    queue_position = _position(queue_digits)
    if queue_position >= position:
        raise InvalidParam(_NOT_HANDED_OUT)
    return position, queue_position


def _position(digits: str) -> StreamPosition:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _POSITION_DIGITS_MAX:
        raise InvalidParam(_NOT_HANDED_OUT)
    return StreamPosition(int(digits))
