"""Pushers: made, changed, shown, and ended, by their owners or with their sessions."""

from typing import Any

import pytest

from tests.api.chat import done
from tests.api.server import ApiServer, Person, problem

URL = "https://push.example.org/_matrix/push/v1/notify"
PUSHER: dict[str, Any] = {
    "kind": "http",
    "app_id": "org.example.app",
    "pushkey": "key",
    "app_display_name": "App",
    "device_display_name": "Phone",
    "lang": "en",
    "data": {"url": URL, "format": "event_id_only", "default_payload": {"aps": {}}},
}


async def pushers(person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await done(person.get("/pushers")))["pushers"]
    return found


async def set_pusher(person: Person, **changed: object) -> None:
    assert await done(person.post("/pushers/set", {**PUSHER, **changed})) == {}


async def test_a_pusher_is_shown_as_it_was_set(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert await pushers(alice) == []
    await set_pusher(alice)
    await set_pusher(alice, pushkey="other", profile_tag="home")
    other = {**PUSHER, "pushkey": "other", "profile_tag": "home"}
    assert await pushers(alice) == [PUSHER, other]
    assert await pushers(await server.user("bob")) == []


async def test_setting_a_pusher_again_changes_it(server: ApiServer) -> None:
    alice = await server.user("alice")
    await set_pusher(alice)
    await set_pusher(alice, lang="de", data={"url": URL})
    assert await pushers(alice) == [{**PUSHER, "lang": "de", "data": {"url": URL}}]


async def test_a_pusher_is_deleted_by_its_key(server: ApiServer) -> None:
    alice = await server.user("alice")
    await set_pusher(alice)
    await set_pusher(alice, app_id="another")
    gone = {"kind": None, "app_id": PUSHER["app_id"], "pushkey": PUSHER["pushkey"]}
    await done(alice.post("/pushers/set", gone))
    assert await pushers(alice) == [{**PUSHER, "app_id": "another"}]
    await done(alice.post("/pushers/set", gone))


async def test_nobody_deletes_the_pushers_of_others(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await set_pusher(alice)
    gone = {"kind": None, "app_id": PUSHER["app_id"], "pushkey": PUSHER["pushkey"]}
    await done(bob.post("/pushers/set", gone))
    assert await pushers(alice) == [PUSHER]


async def test_a_pushkey_belongs_to_one_user_unless_they_share_it(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await set_pusher(alice)
    await set_pusher(bob, append=True)
    assert await pushers(alice) == await pushers(bob) == [PUSHER]
    await set_pusher(bob, lang="fr")
    assert await pushers(alice) == []
    assert await pushers(bob) == [{**PUSHER, "lang": "fr"}]


async def test_pushers_end_with_their_session(server: ApiServer) -> None:
    alice = await server.user("alice")
    phone = await server.log_in("alice", device_id="PHONE")
    await set_pusher(phone)
    await set_pusher(alice, pushkey="desk")
    await done(phone.post("/logout"))
    assert [pusher["pushkey"] for pusher in await pushers(alice)] == ["desk"]
    phone = await server.log_in("alice", device_id="PHONE")
    await set_pusher(phone)
    await server.log_in("alice", device_id="PHONE")
    assert [pusher["pushkey"] for pusher in await pushers(alice)] == ["desk"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"kind": "email"}, "M_INVALID_PARAM"),
        ({"kind": "fax"}, "M_INVALID_PARAM"),
        ({"kind": 1}, "M_BAD_JSON"),
        ({"app_id": None}, "M_MISSING_PARAM"),
        ({"app_id": ""}, "M_INVALID_PARAM"),
        ({"app_id": "a" * 65}, "M_INVALID_PARAM"),
        ({"pushkey": "k" * 513}, "M_INVALID_PARAM"),
        ({"pushkey": "a\0b"}, "M_BAD_JSON"),
        ({"lang": None}, "M_MISSING_PARAM"),
        ({"data": None}, "M_MISSING_PARAM"),
        ({"data": {}}, "M_MISSING_PARAM"),
        ({"data": {"url": 1}}, "M_INVALID_PARAM"),
        ({"data": {"url": "ftp://push.example.org/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "http://push.example.org/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://push.example.org/other"}}, "M_INVALID_PARAM"),
        (
            {"data": {"url": "https://a:b@push.example.org/_matrix/push/v1/notify"}},
            "M_INVALID_PARAM",
        ),
        ({"data": {"url": "https://127.0.0.1/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://[::1]/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://10.1.2.3:99999/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": URL, "more": "x" * 9_000}}, "M_INVALID_PARAM"),
    ],
)
async def test_pushers_that_cannot_be(
    server: ApiServer, changed: dict[str, object], code: str
) -> None:
    alice = await server.user("alice")
    assert problem(await alice.post("/pushers/set", {**PUSHER, **changed})) == (400, code)
    assert await pushers(alice) == []


async def test_a_pusher_has_a_kind(server: ApiServer) -> None:
    alice = await server.user("alice")
    body = {name: value for name, value in PUSHER.items() if name != "kind"}
    assert problem(await alice.post("/pushers/set", body)) == (400, "M_MISSING_PARAM")


async def test_nobody_has_pushers_without_end(server: ApiServer) -> None:
    alice = await server.user("alice")
    for number in range(100):
        await set_pusher(alice, pushkey=str(number))
    refused = await alice.post("/pushers/set", {**PUSHER, "pushkey": "one more"})
    assert problem(refused) == (400, "M_INVALID_PARAM")
    await set_pusher(alice, pushkey="99", lang="it")
    assert len(await pushers(alice)) == 100
