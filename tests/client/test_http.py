import httpx
import msgspec
import pytest

from tests.client.wire import connection, refusal
from tests.homeserver import Homeserver
from tidings.client.backoff import ENDLESS_PATIENCE, Patience
from tidings.client.errors import (
    BadAnswer,
    ClientError,
    Forbidden,
    LoginNeeded,
    NetworkError,
    NotFound,
    RateLimited,
)
from tidings.client.http import Http, Login, Request, v3
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId

OK = httpx.Response(200, json={"ok": True})


async def test_segments_are_encoded_and_the_token_is_a_header() -> None:
    http, wire, _ = connection(OK)
    await http.get(v3("rooms", "!a/b:c", "state", "t", ""), JsonObject, {"flag": True, "n": 3})
    url = wire.requests[0].url
    assert url.raw_path == b"/_matrix/client/v3/rooms/%21a%2Fb%3Ac/state/t/?flag=true&n=3"
    assert wire.requests[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("status", "errcode", "kind"),
    [
        (401, "M_UNKNOWN_TOKEN", LoginNeeded),
        (403, "M_FORBIDDEN", Forbidden),
        (404, "M_NOT_FOUND", NotFound),
    ],
)
async def test_refusals_are_not_repeated(
    status: int, errcode: str, kind: type[ClientError]
) -> None:
    http, wire, _ = connection(refusal(status, errcode))
    with pytest.raises(kind) as caught:
        await http.get("/x", JsonObject)
    assert getattr(caught.value, "errcode", "") == errcode
    assert len(wire.requests) == 1


async def test_a_put_is_repeated_after_a_broken_connection_and_server_errors() -> None:
    http, wire, watch = connection(httpx.ReadError("gone"), refusal(502, "M_UNKNOWN"), OK)
    await http.put("/x", {"a": 1}, JsonObject)
    assert [request.content for request in wire.requests] == [b'{"a":1}'] * 3
    assert watch.sleeps == [0.2, 0.4]


async def test_a_post_is_not_repeated_when_it_may_have_been_carried_out() -> None:
    http, wire, _ = connection(httpx.ReadError("gone"), OK)
    with pytest.raises(NetworkError, match="cannot reach"):
        await http.post("/x", {}, JsonObject)
    assert len(wire.requests) == 1


async def test_a_post_is_repeated_when_nobody_was_there() -> None:
    http, _, _ = connection(httpx.ConnectError("refused"), OK)
    assert await http.post("/x", {}, JsonObject) == {"ok": True}


@pytest.mark.parametrize(
    "limited",
    [
        httpx.Response(429, headers={"Retry-After": "3"}, json={"errcode": "M_LIMIT_EXCEEDED"}),
        refusal(429, "M_LIMIT_EXCEEDED", retry_after_ms=3000),
    ],
)
async def test_a_rate_limit_is_waited_for_as_long_as_the_server_says(
    limited: httpx.Response,
) -> None:
    http, _, watch = connection(limited, OK)
    await http.post("/x", {}, JsonObject)
    assert watch.sleeps == [3.0]


async def test_a_wait_beyond_our_patience_is_not_begun() -> None:
    limited = refusal(429, "M_LIMIT_EXCEEDED", retry_after_ms=60_000)
    http, _, watch = connection(limited, patience=Patience(total_s=5))
    with pytest.raises(RateLimited):
        await http.get("/x", JsonObject)
    assert watch.sleeps == []


async def test_endless_patience_never_waits_longer_than_the_longest_wait() -> None:
    http, _, watch = connection(*[httpx.ConnectError("no")] * 100, OK)
    await http.call(Request("GET", "/x"), JsonObject, ENDLESS_PATIENCE)
    assert max(watch.sleeps) == ENDLESS_PATIENCE.longest_wait_s


@pytest.mark.parametrize("body", [b"<html>", b'{"event_id": 7}', b"\xff\xfe", b""])
async def test_an_unreadable_answer_is_named_as_such(body: bytes) -> None:
    class Sent(msgspec.Struct):
        event_id: str

    http, _, _ = connection(httpx.Response(200, content=body))
    with pytest.raises(BadAnswer):
        await http.get("/x", Sent)


async def test_a_proxys_error_page_keeps_its_status() -> None:
    http, _, _ = connection(httpx.Response(403, content=b"<h1>Blocked \xff</h1>"))
    with pytest.raises(Forbidden, match="403"):
        await http.get("/x", JsonObject)


async def test_the_real_server_refuses_an_unknown_token(server: Homeserver) -> None:
    login = Login("nonsense", UserId("@a:b"), DeviceId("D"))
    http = server.track(Http(server.base_url, login))
    with pytest.raises(LoginNeeded) as caught:
        await http.get(v3("account", "whoami"), JsonObject)
    assert caught.value.errcode == "M_UNKNOWN_TOKEN"
