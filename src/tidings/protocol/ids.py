"""Matrix identifiers: their types, their grammar and how to read them.

Source: Matrix specification, appendices, "Identifier Grammar".
"""

import re
from typing import NewType

from tidings.protocol.errors import InvalidParam, InvalidUsername

UserId = NewType("UserId", str)
RoomId = NewType("RoomId", str)
EventId = NewType("EventId", str)
RoomAlias = NewType("RoomAlias", str)
DeviceId = NewType("DeviceId", str)
StreamPosition = NewType("StreamPosition", int)

ID_BYTES_MAX = 255

_LOCALPART = re.compile(r"[a-z0-9._=/+-]+\Z")
_HISTORICAL_LOCALPART = re.compile(r"[\x21-\x39\x3b-\x7e]+\Z")
_OPAQUE = re.compile(r"[A-Za-z0-9._~=-]+\Z")
_SERVER_NAME = re.compile(
    r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z.-]{1,255})(?::[0-9]{1,5})?\Z"
)


def is_server_name(text: str) -> bool:
    """Whether the text is a host, IPv4 or bracketed IPv6 address with an optional port."""
    return _SERVER_NAME.match(text) is not None


def is_opaque_id(text: str, bytes_max: int = ID_BYTES_MAX) -> bool:
    """Whether the text follows the grammar of ids that mean nothing to whoever is given them."""
    return len(text) <= bytes_max and _OPAQUE.match(text) is not None


def check_new_localpart(localpart: str, server_name: str) -> UserId:
    """The user id for a name someone wants to register; raises InvalidUsername."""
    if not _LOCALPART.match(localpart):
        raise InvalidUsername("User names may contain only a-z, 0-9 and the characters . _ = - / +")
    user_id = UserId(f"@{localpart}:{server_name}")
    if len(user_id.encode()) > ID_BYTES_MAX:
        raise InvalidUsername(f"User ids may be at most {ID_BYTES_MAX} bytes long")
    return user_id


def parse_user_id(text: object) -> UserId:
    """A user id as found in requests and events; historical characters are accepted."""
    if isinstance(text, str) and text.startswith("@") and len(text.encode()) <= ID_BYTES_MAX:
        name, colon, server = text[1:].partition(":")
        if colon and _HISTORICAL_LOCALPART.match(name) and is_server_name(server):
            return UserId(text)
    raise InvalidParam("Not a user id: it must look like @name:server")


def parse_room_alias(text: object) -> RoomAlias:
    """A room alias such as #name:server; raises InvalidParam."""
    if isinstance(text, str) and text.startswith("#") and len(text.encode()) <= ID_BYTES_MAX:
        name, colon, server = text[1:].partition(":")
        if colon and name and "\0" not in name and is_server_name(server):
            return RoomAlias(text)
    raise InvalidParam("Not a room alias: it must look like #name:server")


def parse_room_id(text: object) -> RoomId:
    """A room id, with or without a server's name; raises InvalidParam."""
    if _has_sigil(text, "!"):
        return RoomId(str(text))
    raise InvalidParam("Not a room id: it must begin with !")


def parse_event_id(text: object) -> EventId:
    """An event id; raises InvalidParam."""
    if _has_sigil(text, "$"):
        return EventId(str(text))
    raise InvalidParam("Not an event id: it must begin with $")


def _has_sigil(text: object, sigil: str) -> bool:
    return (
        isinstance(text, str)
        and text.startswith(sigil)
        and len(text.encode(errors="replace")) <= ID_BYTES_MAX
        and "\0" not in text
    )


def is_user_id(text: object) -> bool:
    """Whether the value is a well-formed user id."""
    try:
        parse_user_id(text)
    except InvalidParam:
        return False
    return True


def localpart_of(user_id: str) -> str:
    """The part between the sigil and the first colon."""
    return user_id[1:].partition(":")[0]


def server_name_of(identifier: str) -> str:
    """The part after the first colon; empty for ids that name no server (version 12 rooms)."""
    return identifier.partition(":")[2]
