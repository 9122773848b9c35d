"""Credentials for the TURN server, in the manner of coturn's `use-auth-secret`.

The user name carries its end, the password is a MAC of it: the TURN server checks both by the
shared secret and asks nobody. Source: client-server API, "Voice over IP".
"""

import base64
import hmac

import msgspec

from tidings.protocol.errors import NotFound
from tidings.protocol.ids import UserId
from tidings.server.config import Turn


class TurnCredentials(msgspec.Struct, frozen=True):
    """What a client needs for a while, in the form of the answer."""

    username: str
    password: str
    uris: tuple[str, ...]
    ttl: int


def issue_credentials(turn: Turn, user_id: UserId, now_ms: int) -> TurnCredentials:
    """Credentials for a user; raises NotFound where no TURN server is set."""
    if not turn.uris:
        raise NotFound("This server knows no TURN server")
    username = f"{now_ms // 1000 + turn.lifetime_s}:{user_id}"
    # SHA-1 is what coturn computes; as a MAC it is not broken.
    mac = hmac.digest(turn.shared_secret.encode(), username.encode(), "sha1")
    password = base64.b64encode(mac).decode()
    return TurnCredentials(username, password, turn.uris, turn.lifetime_s)
