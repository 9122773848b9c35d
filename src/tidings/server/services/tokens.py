"""New tokens and ids that nobody can guess."""

import secrets

from tidings.protocol.ids import DeviceId

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without letters and digits that look alike: these are read aloud and typed."""


def new_token() -> str:
    """An access, refresh or login token: 256 bits."""
    return secrets.token_urlsafe(32)


def new_session_id() -> str:
    """The name of an authentication session: 144 bits."""
    return secrets.token_urlsafe(18)


def new_device_id() -> DeviceId:
    """Ten capital letters, as people know them from device lists."""
    return DeviceId("".join(secrets.choice(_LETTERS) for _ in range(10)))


def new_localpart() -> str:
    """A user name for someone who gave none."""
    return "".join(secrets.choice(_READABLE) for _ in range(12))


def new_registration_token() -> str:
    """A token to be handed to people who may register."""
    return "".join(secrets.choice(_READABLE) for _ in range(20))


def new_media_id() -> str:
    """The name of a piece of media, which must not be guessed: 144 bits."""
    return secrets.token_urlsafe(18)
