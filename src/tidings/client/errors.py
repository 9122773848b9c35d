"""What can go wrong between us and a homeserver, as one small tree.

    ClientError
    ├── NetworkError           nobody answered
    ├── BadAnswer              somebody answered, but it is not a homeserver's answer
    ├── Ambiguous              several rooms fit what was asked for
    └── ApiError               the homeserver refused (status, errcode)
        ├── AuthenticationNeeded   401 with the stages of user-interactive authentication
        ├── LoginNeeded            401 without a valid token, or no token at all
        ├── Forbidden              403
        ├── NotFound               404
        └── RateLimited            429

A refusal decided on our side (no stored login, no such room) takes the code the server would have
used, so that callers have one case, not two.
"""

from tidings.protocol.events import JsonObject


class ClientError(Exception):
    """Anything a client cannot go on with; `hint` says what a person can do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NetworkError(ClientError):
    """No answer: the name does not resolve, nobody listens, the connection broke, time is up."""

    def __init__(self, message: str, hint: str = "", *, was_sent: bool = False) -> None:
        super().__init__(message, hint)
        self.was_sent = was_sent
        """Whether the request may have been carried out all the same."""


class BadAnswer(ClientError):
    """An answer that no homeserver would give."""


class Ambiguous(ClientError):
    """More than one room fits the name."""


class ApiError(ClientError):
    """A refusal by the homeserver."""

    def __init__(
        self, status: int, errcode: str, message: str, body: JsonObject | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.errcode = errcode
        self.body: JsonObject = body or {}
        self.retry_after_s: float | None = None


class AuthenticationNeeded(ApiError):
    """User-interactive authentication has stages to complete; `body` names them."""


class LoginNeeded(ApiError):
    """There is no valid access token."""


class Forbidden(ApiError):
    """Known who we are, and still no."""


class NotFound(ApiError):
    """There is no such thing, or it must not be shown."""


class RateLimited(ApiError):
    """Too many requests; `retry_after_s` says when the next will be taken, if the server said."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: LoginNeeded,
    403: Forbidden,
    404: NotFound,
    429: RateLimited,
}
_HINTS = {401: "log in with: tidings login"}


def parse_refusal(status: int, body: JsonObject) -> ApiError:
    """The error for an answer that is not a 2xx."""
    errcode = str(body.get("errcode", "M_UNKNOWN"))
    message = str(body.get("error", f"the server answered with status {status}"))
    if status == 401 and "flows" in body:
        return AuthenticationNeeded(status, errcode, message, body)
    error = _BY_STATUS.get(status, ApiError)(status, errcode, message, body)
    error.hint = _HINTS.get(status, "")
    return error


def login_needed(message: str) -> LoginNeeded:
    """There is no login to try."""
    error = LoginNeeded(401, "M_MISSING_TOKEN", message)
    error.hint = _HINTS[401]
    return error


def not_found(message: str, hint: str = "") -> NotFound:
    """There is no such thing among what we may see."""
    error = NotFound(404, "M_NOT_FOUND", message)
    error.hint = hint
    return error
