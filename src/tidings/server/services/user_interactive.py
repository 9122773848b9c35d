"""User-interactive authentication: proofs in stages, before something of weight is done.

Source: client-server API, "User-Interactive Authentication API". A session is
bound to its operation, its user and the request it was begun for.
"""

from collections.abc import Callable
from hashlib import sha256

import msgspec

from tidings.protocol.errors import AuthenticationNeeded, Forbidden, MatrixError, Unknown
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId
from tidings.server.live.sessions import hash_token
from tidings.server.services.credentials import WRONG, Credentials, Identifier, user_of
from tidings.server.services.registration import Registration
from tidings.server.services.tokens import new_session_id
from tidings.server.storage.auth_sessions import AuthSession, AuthSessionStore
from tidings.server.storage.database import Database, WriteTx

SESSION_MS = 15 * 60_000

PASSWORD = "m.login.password"  # noqa: S105 - the name of a stage
DUMMY = "m.login.dummy"
REGISTRATION_TOKEN = "m.login.registration_token"  # noqa: S105 - the name of a stage


class Auth(msgspec.Struct, frozen=True):
    """The `auth` part of a request: which stage, and the proof for it."""

    type: str | None = None
    session: str | None = None
    identifier: Identifier | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None


class Challenge(msgspec.Struct, frozen=True):
    """What must be proved before an operation is done."""

    operation: str
    flows: tuple[tuple[str, ...], ...]
    user_id: UserId | None = None
    request: JsonObject | None = None
    """What the proof is bound to; None where the request may change between the stages."""

    def bind(self, session_id: str) -> bytes:
        """The request as it is compared; salted, for it may hold a new password."""
        request = msgspec.json.encode(self.request, order="sorted")
        return sha256(session_id.encode() + b"\0" + request).digest()


class Proof(msgspec.Struct, frozen=True):
    """What was proved."""

    registration_token: str | None = None


class _Progress(msgspec.Struct, frozen=True):
    """A session with its name, which is kept as a hash only."""

    session_id: str
    session: AuthSession

    @property
    def completed(self) -> tuple[str, ...]:
        return tuple(self.session.completed.split())


def password_challenge(operation: str, user_id: UserId, request: JsonObject) -> Challenge:
    """That the user must give their password for this request."""
    return Challenge(operation, ((PASSWORD,),), user_id, request)


class UserInteractive:
    """Sees to it that proofs are given."""

    def __init__(
        self,
        db: Database,
        auth_sessions: AuthSessionStore,
        credentials: Credentials,
        registration: Registration,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._auth_sessions = auth_sessions
        self._credentials = credentials
        self._registration = registration
        self._now_ms = now_ms

    async def check(self, challenge: Challenge, auth: Auth | None) -> Proof:
        """What was proved; raises AuthenticationNeeded while stages are missing."""
        if auth is None:
            raise await self._needed(challenge, self._begin(challenge), None)
        progress = await self._resume(challenge, auth)
        if auth.type is not None and auth.type not in progress.completed:
            progress = await self._pass_stage(challenge, progress, auth)
        if progress.completed not in challenge.flows:
            raise await self._needed(challenge, progress, None)
        return Proof(progress.session.registration_token)

    async def check_once(self, challenge: Challenge, auth: Auth | None) -> Proof:
        """The same, but the session is spent: the next request must be proved anew."""
        proof = await self.check(challenge, auth)
        if auth is not None and auth.session is not None:
            session_hash = hash_token(auth.session)

            async def recipe(tx: WriteTx) -> None:
                await self._auth_sessions.delete(tx, session_hash)

            await self._db.write(recipe)
        return proof

    def _begin(self, challenge: Challenge) -> _Progress:
        session_id = new_session_id()
        session = AuthSession(
            session_hash=hash_token(session_id),
            operation=challenge.operation,
            user_id=challenge.user_id,
            request_hash=challenge.bind(session_id),
            completed="",
            registration_token=None,
            created_ts=self._now_ms(),
        )
        return _Progress(session_id, session)

    async def _resume(self, challenge: Challenge, auth: Auth) -> _Progress:
        if auth.session is None:  # COMPAT(matrix-nio): gives its proof with the first request
            return self._begin(challenge)
        async with self._db.read() as tx:
            session = await self._auth_sessions.find(
                tx, hash_token(auth.session), self._now_ms() - SESSION_MS
            )
        if session is None:
            expired = Unknown("This authentication has expired; begin again")
            raise await self._needed(challenge, self._begin(challenge), expired)
        expected = (challenge.operation, challenge.user_id, challenge.bind(auth.session))
        begun_for = (session.operation, session.user_id, session.request_hash)
        if begun_for != expected:
            raise Forbidden("This authentication was begun for another request")
        return _Progress(auth.session, session)

    async def _pass_stage(self, challenge: Challenge, progress: _Progress, auth: Auth) -> _Progress:
        stages = (*progress.completed, auth.type)
        if not any(flow[: len(stages)] == stages for flow in challenge.flows):
            error = Forbidden(f"{auth.type} is not the next stage of any flow")
            raise await self._needed(challenge, progress, error)
        try:
            await self._check_stage(challenge, auth)
        except Forbidden as error:
            raise await self._needed(challenge, progress, error) from error
        is_token = auth.type == REGISTRATION_TOKEN
        session = msgspec.structs.replace(
            progress.session,
            completed=f"{progress.session.completed} {auth.type}".strip(),
            registration_token=auth.token if is_token else progress.session.registration_token,
        )
        progress = _Progress(progress.session_id, session)
        if auth.session is not None:
            await self._save(session)
        return progress

    async def _check_stage(self, challenge: Challenge, auth: Auth) -> None:
        match auth.type:
            case "m.login.dummy":
                return
            case "m.login.registration_token":
                if not await self._registration.is_token_valid(auth.token or ""):
                    raise Forbidden("This registration token is not valid")
            case "m.login.password":
                await self._check_password(challenge, auth)
            case _:
                raise Forbidden(f"{auth.type} cannot be proved here")

    async def _check_password(self, challenge: Challenge, auth: Auth) -> None:
        user = user_of(auth.identifier, auth.user)
        account = await self._credentials.check(user, auth.password or "")
        if account.user_id != challenge.user_id:
            raise Forbidden(WRONG)

    async def _needed(
        self, challenge: Challenge, progress: _Progress, error: MatrixError | None
    ) -> AuthenticationNeeded:
        """The answer that says what is missing; its session is kept for the next request."""
        await self._save(progress.session)
        body: dict[str, object] = {
            "flows": [{"stages": flow} for flow in challenge.flows],
            "params": {},
            "session": progress.session_id,
        }
        if progress.completed:
            body["completed"] = progress.completed
        if error is not None:
            body |= error.to_json()
        return AuthenticationNeeded(body)

    async def _save(self, session: AuthSession) -> None:
        async def recipe(tx: WriteTx) -> None:
            await self._auth_sessions.delete_before(tx, self._now_ms() - SESSION_MS)
            await self._auth_sessions.save(tx, session)

        await self._db.write(recipe)
