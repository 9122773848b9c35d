"""Which of two backed-up keys of a session is kept.

Source: client-server API, "Server-side key backups": one from a verified
device before one that is not, then the one that decrypts more, then the one
that went through fewer hands; of equals the one that is there.
"""

import msgspec


class KeyRank(msgspec.Struct, frozen=True, array_like=True):
    """What is told of a key beside the key itself."""

    first_message_index: int
    forwarded_count: int
    is_verified: bool

    @property
    def order(self) -> tuple[bool, int, int]:
        """The smaller, the better."""
        return (not self.is_verified, self.first_message_index, self.forwarded_count)


def is_better(new: KeyRank, held: KeyRank) -> bool:
    """Whether a key takes the place of the one that is held."""
    return new.order < held.order
