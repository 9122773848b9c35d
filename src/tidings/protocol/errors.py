"""The error catalogue: one class for each way a request can be refused.

An error is raised where the decision is made and turned into HTTP once, in
`server/http`. `status` is the HTTP status, `errcode` the spec's code.
Source: client-server API, "Standard error response" and "Common error codes".
"""

from collections.abc import Mapping


class MatrixError(Exception):
    """A refusal with the spec's code, a status and a sentence for a person."""

    errcode = "M_UNKNOWN"
    status = 400

    def __init__(self, message: str, **extra: object) -> None:
        super().__init__(message)
        self.message = message
        self.extra: Mapping[str, object] = extra

    def to_json(self) -> dict[str, object]:
        """The body of the error answer."""
        return {"errcode": self.errcode, "error": self.message, **self.extra}


class Unknown(MatrixError):
    """A refusal for which the spec has no code of its own."""


class AliasInUse(Unknown):
    """The alias points to a room already."""

    status = 409


class BodyCutShort(Unknown):
    """The end of the body did not come; mostly there is nobody left to read this."""


class OffsetMismatch(Unknown):
    """A part of an upload does not follow on what has come so far."""

    status = 409


class UploadLocked(Unknown):
    """A part of the same upload is just coming."""

    status = 423


class PageUnavailable(Unknown):
    """A page of the web cannot be fetched; whether it exists is not told."""

    status = 502


class ServerFault(MatrixError):
    """Our own fault; the details are in the log, not in the answer."""

    status = 500


class StorageUnavailable(MatrixError):
    """The database cannot take writes now (full disk, gone away)."""

    status = 503


class NotJson(MatrixError):
    errcode = "M_NOT_JSON"


class BadJson(MatrixError):
    errcode = "M_BAD_JSON"


class ServerControlled(BadJson):
    """Account data that only the server sets."""

    status = 405


class MissingParam(MatrixError):
    errcode = "M_MISSING_PARAM"


class InvalidParam(MatrixError):
    errcode = "M_INVALID_PARAM"


class Unrecognized(MatrixError):
    errcode = "M_UNRECOGNIZED"
    status = 404


class MethodNotAllowed(Unrecognized):
    status = 405


class NotFound(MatrixError):
    errcode = "M_NOT_FOUND"
    status = 404


class Forbidden(MatrixError):
    errcode = "M_FORBIDDEN"
    status = 403


class InviteBlocked(Forbidden):
    errcode = "M_INVITE_BLOCKED"


class GuestAccessForbidden(Forbidden):
    errcode = "M_GUEST_ACCESS_FORBIDDEN"


class MissingToken(MatrixError):
    errcode = "M_MISSING_TOKEN"
    status = 401


class UnknownToken(MatrixError):
    """The token is not (or no longer) valid; `soft_logout` tells the client to keep its keys."""

    errcode = "M_UNKNOWN_TOKEN"
    status = 401


class InvalidSignature(MatrixError):
    errcode = "M_INVALID_SIGNATURE"


class WrongRoomKeysVersion(MatrixError):
    """Keys can be written to the newest backup only; `current_version` says which that is."""

    errcode = "M_WRONG_ROOM_KEYS_VERSION"
    status = 403


class UserDeactivated(Forbidden):
    errcode = "M_USER_DEACTIVATED"


class UserLocked(MatrixError):
    errcode = "M_USER_LOCKED"
    status = 401


class UserSuspended(Forbidden):
    errcode = "M_USER_SUSPENDED"


class ThreepidDenied(Forbidden):
    errcode = "M_THREEPID_DENIED"


class UserInUse(MatrixError):
    errcode = "M_USER_IN_USE"


class InvalidUsername(MatrixError):
    errcode = "M_INVALID_USERNAME"


class Exclusive(MatrixError):
    errcode = "M_EXCLUSIVE"


class WeakPassword(MatrixError):
    errcode = "M_WEAK_PASSWORD"


class ProfileTooLarge(MatrixError):
    errcode = "M_PROFILE_TOO_LARGE"


class KeyTooLarge(MatrixError):
    errcode = "M_KEY_TOO_LARGE"


class RoomInUse(MatrixError):
    errcode = "M_ROOM_IN_USE"


class InvalidRoomState(MatrixError):
    errcode = "M_INVALID_ROOM_STATE"


class UnsupportedRoomVersion(MatrixError):
    errcode = "M_UNSUPPORTED_ROOM_VERSION"


class BadState(MatrixError):
    errcode = "M_BAD_STATE"
    status = 403


class BadAlias(MatrixError):
    errcode = "M_BAD_ALIAS"


class CannotLeaveServerNoticeRoom(Forbidden):
    errcode = "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM"


class TooLarge(MatrixError):
    errcode = "M_TOO_LARGE"
    status = 413


class PreconditionFailed(MatrixError):
    """A header the request must carry is missing or says something else (RFC 9110)."""

    status = 412


class UnsupportedMediaType(MatrixError):
    """The body is not of the type the endpoint takes (RFC 9110)."""

    status = 415


class RangeNotSatisfiable(MatrixError):
    """The part asked for lies outside of the file (RFC 9110)."""

    status = 416


class CannotOverwriteMedia(MatrixError):
    errcode = "M_CANNOT_OVERWRITE_MEDIA"
    status = 409


class NotYetUploaded(MatrixError):
    errcode = "M_NOT_YET_UPLOADED"
    status = 504


class UnknownPos(MatrixError):
    errcode = "M_UNKNOWN_POS"


class LimitExceeded(MatrixError):
    """Too many requests; `retry_after_ms` says when the next one will be taken."""

    errcode = "M_LIMIT_EXCEEDED"
    status = 429

    def __init__(self, message: str, retry_after_ms: int) -> None:
        super().__init__(message, retry_after_ms=retry_after_ms)
        self.retry_after_ms = retry_after_ms


class AuthenticationNeeded(MatrixError):
    """User-interactive authentication has further stages: the answer carries them."""

    status = 401

    def __init__(self, body: Mapping[str, object]) -> None:
        super().__init__("Further authentication is needed")
        self.body = body

    def to_json(self) -> dict[str, object]:
        """The flows, the session and, after a failed stage, its error."""
        return dict(self.body)
