"""What sliding sync answers, assembled from values: no query, no clock, no waiting.

A member that is UNSET has not changed since the room was last sent; of a room
sent for the first time it is not there. Source: MSC4186, "Response Body".
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId, UserId

BUMPS = (
    "m.room.create", "m.room.message", "m.room.encrypted", "m.sticker", "m.call.invite",
    "m.poll.start", "org.matrix.msc3381.poll.start", "m.beacon_info",
    "org.matrix.msc3672.beacon_info",
)  # fmt: skip
"""What moves a room up in a client's list."""

_encode = msgspec.json.Encoder().encode


class Hero(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody a room without a name is called after."""

    user_id: UserId
    displayname: str | None = None
    avatar_url: str | None = None


class RoomResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one room has to tell."""

    bump_stamp: int | UnsetType = UNSET
    membership: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    avatar: str | UnsetType | None = UNSET
    heroes: Sequence[Hero] | UnsetType = UNSET
    is_dm: bool | UnsetType = UNSET
    initial: bool | UnsetType = UNSET
    expanded_timeline: bool | UnsetType = UNSET
    unstable_expanded_timeline: bool | UnsetType = UNSET
    """The same under the name that clients of the unstable endpoint know."""
    required_state: Sequence[Raw] | UnsetType = UNSET
    timeline: Sequence[Raw] | UnsetType = UNSET
    prev_batch: str | UnsetType = UNSET
    limited: bool | UnsetType = UNSET
    num_live: int | UnsetType = UNSET
    joined_count: int | UnsetType = UNSET
    invited_count: int | UnsetType = UNSET
    notification_count: int | UnsetType = UNSET
    highlight_count: int | UnsetType = UNSET
    invite_state: Sequence[Raw] | UnsetType = UNSET
    knock_state: Sequence[Raw] | UnsetType = UNSET


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of the answer."""

    pos: str
    lists: Mapping[str, Mapping[str, int]] = {}
    rooms: Mapping[RoomId, RoomResult] = {}
    extensions: Mapping[str, object] = {}
    txn_id: str | None = None


def assemble(answer: Answer) -> bytes:
    """The body of the answer as JSON."""
    return _encode(answer)


def raw(events: Iterable[bytes]) -> list[Raw]:
    """Events that are encoded already."""
    return [Raw(event) for event in events]


def hero_of(user_id: UserId, member: Event | None) -> Hero:
    """Somebody as their member event shows them."""
    content = member.content if member else {}
    name, avatar = content.get("displayname"), content.get("avatar_url")
    return Hero(
        user_id,
        name if isinstance(name, str) else None,
        avatar if isinstance(avatar, str) else None,
    )


def text_of(event: Event | None, key: str) -> str | None:
    """A text in a state event, if it is there and not empty."""
    value = event.content.get(key) if event else None
    return value if isinstance(value, str) and value else None
