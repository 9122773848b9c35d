"""What is asked of a search, and the marks it is continued by."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal

import msgspec

from tidings.protocol.errors import InvalidParam
from tidings.protocol.filters import RoomEventFilter
from tidings.protocol.ids import UserId

GroupKey = Literal["", "room_id", "sender"]
Order = Literal["rank", "recent"]


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Where a page begins: clients hand it back as they were given it."""

    before: int
    """Only what was said before this position."""
    now_ms: int
    """When the search began: ages are counted from there, so that the ranks stay."""
    offset: int = 0
    seen: int = 0
    """Answers on the pages before, for the count."""
    group: GroupKey = ""
    value: str = ""


class Around(msgspec.Struct, frozen=True):
    """How much of what was said before and after an answer is shown with it."""

    before_limit: int = 5
    after_limit: int = 5
    include_profile: bool = False


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A search for messages."""

    user_id: UserId
    search_term: str
    types: frozenset[str]
    """The types of events that have the keys asked for."""
    filter: RoomEventFilter = RoomEventFilter()
    limit: int
    order_by: Order = "rank"
    group_by: tuple[Literal["room_id", "sender"], ...] = ()
    around: Around | None = None
    include_state: bool = False
    mark: Mark


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Mark).decode


def format_mark(mark: Mark) -> str:
    """The mark as a token."""
    return urlsafe_b64encode(_encode(mark)).decode().rstrip("=")


def parse_mark(token: str) -> Mark:
    """The mark of a token; raises InvalidParam."""
    try:
        mark = _decode(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, msgspec.DecodeError) as error:
        raise InvalidParam("next_batch is not a token of this server") from error
    if min(mark.before, mark.now_ms, mark.offset, mark.seen) < 0 or mark.before >= 2**63:
        raise InvalidParam("next_batch is not a token of this server")
    return mark
