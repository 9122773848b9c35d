"""Whatever a client sends to whatever endpoint: a clear refusal, no stack trace, no hint."""

import json
import logging
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.api.chat import create_room, done, send, sync
from tests.api.server import ApiServer, FakeClock, Person
from tidings.server.http.app import HttpApp
from tidings.server.http.routing import Route

DEEP = 20_000
BODIES = {
    "nothing": b"",
    "half": b'{"a":',
    "not UTF-8": b'{"a":"\xff\xfe"}',
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "too large a float": b'{"a":1e999}',
    "array": b"[1]",
    "text": b'"text"',
    "null": b"null",
    "number": b"1",
    "deep": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep array": b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "form": b"a=b&c=d",
    "binary": bytes(range(256)),
    "lone surrogate": b'{"a":"\\ud800"}',
}
SYNTAX_ERRORS = ("half", "not UTF-8", "NaN", "infinity", "form", "binary")
OTHER_KINDS = ("array", "text", "null", "number")
NAMES = (
    "", " ", "x", "!", "@", "#", "$", "!x:y", "@x:y", "..", "%", "💥",
    "%2F%2E%2E", "\0", "x" * 300, "!" + "x" * 300 + ":localhost",
)  # fmt: skip
RAW_NAMES = ("%FF", "%ED%A0%80", "%C0%80", "%", "%zz", "%2", "a%00b")
QUERIES = (
    "from=%FF", "limit=-1", "limit=NaN", "limit=99999999999999999999999", "limit=1e3", "limit=",
    "dir=x&from=x&to=x", "ts=abc", "ts=-1&dir=f", "since=x", "since=s-1", "since=s99999999999",
    "timeout=-5", "timeout=x", "filter=%7B", "filter=%7B%22room%22%3A5%7D", "filter=nope",
    "filter=" + "%5B" * 5000, "a=%zz&b", "&&&===", "access_token=%FF", "full_state=perhaps",
    "user_id=%40nobody%3Aelsewhere", "membership=5", "at=x", "server_name=%00",
)  # fmt: skip
VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    2**70,
    1.5,
    "x",
    "x\0y",
    "x" * 70_000,
    [],
    {},
    [[1]],
    {"a": {"b": 1}},
)


@pytest.fixture
async def server(sqlite_url: str) -> AsyncGenerator[ApiServer, None]:
    started = await ApiServer.start(sqlite_url, FakeClock())
    started.http.event_hooks = {}  # what is sent here is in no definition
    yield started
    await started.close()


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "tidings.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


def routes(server: ApiServer) -> list[Route]:
    app = server.server.asgi
    assert isinstance(app, HttpApp)
    return [route for route in app._router.routes if "/unstable/chat.tidings" not in route.path]


def filled(route: Route, values: dict[str, str]) -> str:
    """The route's path; a parameter without a value of its own gets that of the name `other`."""
    parts = [
        values.get(part.strip("{}"), values["other"]) if part.startswith("{") else part
        for part in route.path.split("/")
    ]
    return "/".join(parts)


async def ask(
    person: Person, method: str, raw: str, content: bytes = b"{}", kind: str = "application/json"
) -> httpx.Response:
    """Send a request as it is written."""
    url = httpx.URL("http://test").copy_with(raw_path=raw.encode("ascii", "surrogateescape"))
    headers = {"authorization": f"Bearer {person.token}", "content-type": kind}
    body = None if method in {"GET", "HEAD"} else content
    return await person.http.request(method, url, content=body, headers=headers)


def check_refusal(answer: httpx.Response, what: str) -> None:
    """Not our fault; in the form every client expects."""
    assert answer.status_code < 500, (what, answer.status_code, answer.text)
    assert answer.headers["access-control-allow-origin"] == "*", what
    if answer.status_code >= 400:
        assert "Traceback" not in answer.text, what
        if answer.headers["content-type"] == "application/json":
            body = answer.json()
            told = body.get("errcode", "M_" if "flows" in body else "")
            assert str(told).startswith("M_"), (what, body)


async def stranger(server: ApiServer, taken: list[int]) -> Person:
    """Somebody new: some endpoints end a session or an account."""
    taken[0] += 1
    return await server.user(f"someone{taken[0]}")


async def test_names_that_are_none(server: ApiServer) -> None:
    taken = [0]
    raw = [*(quote(name, safe="") for name in NAMES), *RAW_NAMES]
    for route in routes(server):
        if "{" not in route.path:
            continue
        person = await stranger(server, taken)
        for name in raw:
            path = filled(route, {"other": name})
            check_refusal(await ask(person, route.method, path), f"{route.method} {path[:200]}")


async def test_queries_that_are_none(server: ApiServer) -> None:
    taken = [0]
    for route in routes(server):
        if route.method != "GET":
            continue
        person = await stranger(server, taken)
        room_id = quote(await create_room(person), safe="")
        path = filled(route, {"room_id": room_id, "user_id": quote(person.user_id), "other": "x"})
        for query in QUERIES:
            answer = await ask(person, "GET", f"{path}?{query}")
            check_refusal(answer, f"GET {path}?{query[:60]}")


async def test_bodies_that_are_none(server: ApiServer) -> None:
    taken = [0]
    for route in routes(server):
        if route.method in {"GET", "HEAD"}:
            continue
        person = await stranger(server, taken)
        path = await real_path(server, route, person)
        for name, body in BODIES.items():
            answer = await ask(person, route.method, path, body)
            check_refusal(answer, f"{route.method} {path}: {name}")
            if answer.status_code == 401 and "M_UNKNOWN_TOKEN" in answer.text:
                person = await stranger(server, taken)


async def real_path(server: ApiServer, route: Route, person: Person) -> str:
    room_id = await create_room(person)
    event_id = await send(person, room_id)
    names = {
        "room_id": room_id, "room_id_or_alias": room_id, "event_id": event_id,
        "user_id": person.user_id, "device_id": person.device_id, "other": "x",
    }  # fmt: skip
    return filled(route, {key: quote(name, safe="") for key, name in names.items()})


def wrong_values() -> Iterator[dict[str, object]]:
    """Bodies whose members have names that matter and values that make no sense."""
    members = (
        "user_id", "membership", "password", "auth", "identifier", "type", "event_id", "m.read",
        "m.fully_read", "typing", "timeout", "presence", "displayname", "avatar_url", "room",
        "filter", "limit", "search_term", "name", "topic", "invite", "initial_state", "preset",
        "creation_content", "power_level_content_override", "room_version", "actions", "conditions",
        "pattern", "enabled", "order", "devices", "device_keys", "one_time_keys", "messages",
        "keys", "search_categories", "lists", "content", "redacts", "alias", "visibility",
        "m.relates_to", "device_id", "new_password", "rooms", "pushkey", "data", "lang", "app_id",
    )  # fmt: skip
    for value in VALUES:
        yield dict.fromkeys(members, value)


async def test_members_of_wrong_types(server: ApiServer) -> None:
    taken = [0]
    for route in routes(server):
        if route.method in {"GET", "HEAD"}:
            continue
        person = await stranger(server, taken)
        path = await real_path(server, route, person)
        for body in wrong_values():
            answer = await ask(person, route.method, path, json.dumps(body).encode())
            check_refusal(answer, f"{route.method} {path}: {str(body)[:80]}")
            if answer.status_code == 401 and "M_UNKNOWN_TOKEN" in answer.text:
                person = await stranger(server, taken)


async def test_the_codes_of_bodies_that_cannot_be_read(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = quote(await create_room(alice), safe="")
    path = f"/_matrix/client/v3/rooms/{room_id}/send/m.room.message/1"
    for names, errcode in ((SYNTAX_ERRORS, "M_NOT_JSON"), (OTHER_KINDS, "M_BAD_JSON")):
        for name in names:
            answer = await ask(alice, "PUT", path, BODIES[name])
            assert (answer.status_code, answer.json()["errcode"]) == (400, errcode), name
    for content in ('{"a":1.5}', '{"a":9007199254740993}', f'{{"a":{2**70}}}', '{"a":"x\\u0000"}'):
        answer = await ask(alice, "PUT", path, content.encode())
        expected = (200, None) if "u0000" in content else (400, "M_BAD_JSON")
        assert (answer.status_code, answer.json().get("errcode")) == expected, content
    large = json.dumps({"body": "x" * 70_000}).encode()
    answer = await ask(alice, "PUT", path.replace("/1", "/2"), large)
    assert (answer.status_code, answer.json()["errcode"]) == (413, "M_TOO_LARGE")


async def test_the_content_type_does_not_matter(server: ApiServer) -> None:
    # Clients in use leave it out, or send what their library sends.
    alice = await server.user("alice")
    room_id = quote(await create_room(alice), safe="")
    for number, kind in enumerate(("text/plain", "application/x-www-form-urlencoded", "\t;=")):
        path = f"/_matrix/client/v3/rooms/{room_id}/send/m.room.message/{number}"
        answer = await ask(alice, "PUT", path, b'{"body":"x","msgtype":"m.text"}', kind)
        assert answer.status_code == 200


async def test_nothing_of_it_was_our_fault(
    server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that is ours is logged; the endpoints' own are answered and leave no trace."""
    with caplog.at_level(logging.ERROR):
        alice = await server.user("alice")
        await ask(alice, "PUT", "/_matrix/client/v3/rooms/%FF/send/x/1", BODIES["binary"])
    assert not caplog.records


# --- rooms one may not see ---------------------------------------------------------------------


def without_ids(answer: httpx.Response, *ids: str) -> tuple[int, Any]:
    text = answer.text
    for name in ids:
        text = text.replace(name, "…").replace(quote(name, safe=""), "…")
    return answer.status_code, text


async def test_nobody_can_tell_whether_a_private_room_exists(server: ApiServer) -> None:
    alice, eve = await server.user("alice"), await server.user("eve")
    private = await create_room(alice, preset="private_chat", name="Secret")
    secret = await send(alice, private, "secret")
    unknown, no_event = "!unknown:localhost", "$unknown"
    members = {"user_id": alice.user_id, "event_id": secret, "membership": "join"}
    checked = 0
    for route in routes(server):
        if "{room_id" not in route.path:
            continue
        checked += 1
        for content in (b"{}", json.dumps(members).encode()):
            answers = []
            for room_id, event_id in ((private, secret), (unknown, no_event)):
                names = {
                    "room_id": room_id, "room_id_or_alias": room_id, "event_id": event_id,
                    "user_id": eve.user_id, "event_type": "m.room.name", "other": "x",
                }  # fmt: skip
                path = filled(route, {key: quote(name, safe="") for key, name in names.items()})
                # The names, wherever they stand in a body, are the outsider's guess as well.
                body = content.replace(secret.encode(), event_id.encode())
                answer = await ask(eve, route.method, f"{path}?dir=b&ts=1", body)
                answers.append(without_ids(answer, room_id, event_id))
            assert answers[0] == answers[1], f"{route.method} {route.path}"
            assert "secret" not in str(answers).lower(), route.path
    assert checked > 30


async def test_nothing_of_a_private_room_comes_by_sync(server: ApiServer) -> None:
    alice, eve = await server.user("alice"), await server.user("eve")
    private = await create_room(alice, preset="private_chat", name="Secret")
    since = (await sync(eve))["next_batch"]
    event_id = await send(alice, private, "secret")
    for path in (f"/rooms/{quote(private)}/typing/{quote(alice.user_id)}",):
        await done(alice.put(path, {"typing": True, "timeout": 1000}))
    await done(alice.post(f"/rooms/{quote(private)}/receipt/m.read/{quote(event_id)}"))
    assert "rooms" not in await sync(eve, since)
    assert "rooms" not in await sync(eve)
