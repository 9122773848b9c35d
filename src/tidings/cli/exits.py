"""What the exit code says, and to which failure it belongs."""

from enum import IntEnum

from tidings.client.errors import (
    Ambiguous,
    AuthenticationNeeded,
    ClientError,
    Forbidden,
    LoginNeeded,
    NetworkError,
    NotFound,
    RateLimited,
)


class Exit(IntEnum):
    """The exit codes; scripts rely on them, so none ever changes its meaning."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    LOGIN_NEEDED = 4
    FORBIDDEN = 5
    NETWORK = 6
    RATE_LIMITED = 7
    PARTLY_DONE = 9
    TIMEOUT = 124
    INTERRUPTED = 130


class UsageError(ClientError):
    """The command line makes no sense; nothing has been done."""


_BY_KIND: tuple[tuple[type[ClientError], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (Ambiguous, Exit.USAGE),
    (AuthenticationNeeded, Exit.LOGIN_NEEDED),
    (LoginNeeded, Exit.LOGIN_NEEDED),
    (Forbidden, Exit.FORBIDDEN),
    (NotFound, Exit.NOT_FOUND),
    (RateLimited, Exit.RATE_LIMITED),
    (NetworkError, Exit.NETWORK),
)


def exit_code_of(error: ClientError) -> Exit:
    """The code for a failure."""
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), Exit.ERROR)
