"""The server inside the test's own process, and people who talk to it.

`alice = await server.user("alice")`, then `await alice.put("/profile/...", {...})`: paths are
below /_matrix/client/v3 unless they begin with /_matrix or /.well-known.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from tests.contract.validation import Contract
from tidings.server.app import Server, build
from tidings.server.config import load_config
from tidings.server.services.registration import NewAccount

V3 = "/_matrix/client/v3"
PASSWORD = "correct horse battery staple"
BEGINNING_MS = 1_700_000_000_000
SETTINGS: Mapping[str, object] = {
    "rate_limits": {"enabled": False},
    "passwords": {"memory_kib": 8, "iterations": 1},
    "registration": {"mode": "open", "guests": True},
    "publish_rooms": "everyone",
}


class FakeClock:
    """Milliseconds that pass when they are told to."""

    def __init__(self) -> None:
        self.ms = BEGINNING_MS

    def __call__(self) -> int:
        return self.ms

    def advance(self, ms: int) -> None:
        self.ms += ms


class Person:
    """Somebody with a connection: logged in, or nobody in particular."""

    def __init__(self, http: httpx.AsyncClient, login: Mapping[str, str]) -> None:
        self.http = http
        self.user_id = login.get("user_id", "")
        self.device_id = login.get("device_id", "")
        self.token = login.get("access_token", "")
        self.login = login

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        return await self.request("GET", path, query=query)

    async def post(self, path: str, json: object = None) -> httpx.Response:
        return await self.request("POST", path, {} if json is None else json)

    async def put(self, path: str, json: object = None) -> httpx.Response:
        return await self.request("PUT", path, {} if json is None else json)

    async def delete(self, path: str, json: object = None) -> httpx.Response:
        return await self.request("DELETE", path, json)

    async def request(
        self,
        method: str,
        path: str,
        json: object = None,
        query: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        whole = path if path.startswith(("/_matrix", "/.well-known")) else f"{V3}{path}"
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.http.request(
            method, whole, json=json, params=query or None, headers=headers
        )

    async def prove(self, method: str, path: str, json: Mapping[str, object]) -> httpx.Response:
        """Make a request that asks for the password, and give it."""
        asked = await self.request(method, path, json)
        assert asked.status_code == 401, asked.text
        return await self.request(method, path, {**json, "auth": self.password_auth(asked)})

    def password_auth(self, asked: httpx.Response) -> dict[str, object]:
        return {
            "type": "m.login.password",
            "session": asked.json()["session"],
            "identifier": {"type": "m.id.user", "user": self.user_id},
            "password": PASSWORD,
        }


class ApiServer:
    """One server of a test."""

    def __init__(self, server: Server, clock: FakeClock) -> None:
        self.server = server
        self.clock = clock
        contract = Contract()
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(server.asgi),
            base_url="http://test",
            event_hooks={
                "request": [contract.note_request],
                "response": [contract.check_response],
            },
        )
        self.nobody = Person(self.http, {})

    @classmethod
    async def start(cls, db_url: str, clock: FakeClock, **settings: object) -> "ApiServer":
        config = load_config(None, {}, {**SETTINGS, "database": db_url, **settings})
        return cls(await build(config, clock), clock)

    async def user(self, name: str) -> Person:
        """A new account, logged in."""
        auth = {"type": "m.login.dummy"}
        body = {"username": name, "password": PASSWORD, "auth": auth}
        return await self._person("/register", body)

    async def admin(self, name: str) -> Person:
        """A new account that administers the server, logged in."""
        registration = self.server.registration
        user_id = await registration.check_username(name)
        await registration.register(NewAccount(user_id, PASSWORD, is_admin=True))
        return await self.log_in(name)

    async def log_in(self, name: str, **options: object) -> Person:
        """Another device of somebody."""
        identifier = {"type": "m.id.user", "user": name}
        body = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
        return await self._person("/login", {**body, **options})

    async def guest(self) -> Person:
        return await self._person("/register?kind=guest", {})

    def holding(self, token: str) -> Person:
        """Whoever has the token."""
        return Person(self.http, {"access_token": token})

    async def _person(self, path: str, body: object) -> Person:
        answer = await self.nobody.post(path, body)
        assert answer.status_code == 200, answer.text
        return Person(self.http, answer.json())

    async def close(self) -> None:
        await self.http.aclose()
        await self.server.close()


def problem(response: httpx.Response) -> tuple[int, str]:
    """What was refused: the status and the spec's code."""
    body: dict[str, Any] = response.json()
    return response.status_code, body.get("errcode", "")
