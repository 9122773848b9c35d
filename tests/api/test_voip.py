"""Credentials for the TURN server."""

import base64
import hmac
from collections.abc import Awaitable, Callable

from tests.api.chat import done
from tests.api.server import ApiServer, problem

URIS = ["turn:turn.example.org?transport=udp", "turns:turn.example.org"]


async def test_there_is_none_unless_it_is_set(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert problem(await alice.get("/voip/turnServer")) == (404, "M_NOT_FOUND")


async def test_credentials_are_what_coturn_checks(
    start_server: Callable[..., Awaitable[ApiServer]],
) -> None:
    server = await start_server(turn={"uris": URIS, "shared_secret": "s3", "lifetime_s": 600})
    alice = await server.user("alice")
    told = await done(alice.get("/voip/turnServer"))
    assert (told["uris"], told["ttl"]) == (URIS, 600)
    assert told["username"] == f"{server.clock.ms // 1000 + 600}:{alice.user_id}"
    mac = hmac.digest(b"s3", told["username"].encode(), "sha1")
    assert base64.b64decode(told["password"]) == mac
