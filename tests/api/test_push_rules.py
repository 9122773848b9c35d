from typing import Any
from urllib.parse import quote

import pytest

from tests.api.chat import account_data_in, done, sync
from tests.api.server import ApiServer, Person, problem

MUTED: dict[str, object] = {"actions": []}


async def ruleset_of(person: Person) -> dict[str, Any]:
    found: dict[str, Any] = (await done(person.get("/pushrules/")))["global"]
    return found


async def ids_of(person: Person, kind: str) -> list[str]:
    return [rule["rule_id"] for rule in (await ruleset_of(person))[kind]]


async def test_everybody_begins_with_the_default_rules(server: ApiServer) -> None:
    alice = await server.user("alice")
    rules = await ruleset_of(alice)
    assert set(rules) == {"override", "content", "room", "sender", "underride"}
    assert rules["override"][0]["rule_id"] == ".m.rule.master"
    assert await done(alice.get("/pushrules/global/")) == rules
    shown = account_data_in(await sync(alice))
    assert shown["m.push_rules"] == {"global": rules}
    path = f"/user/{quote(alice.user_id)}/account_data/m.push_rules"
    assert await done(alice.get(path)) == {"global": rules}


async def test_a_rule_is_made_read_and_deleted(server: ApiServer) -> None:
    alice = await server.user("alice")
    rule = {"pattern": "cake*lie", "actions": ["notify"]}
    await done(alice.put("/pushrules/global/content/nocake", rule))
    kept = {**rule, "rule_id": "nocake", "enabled": True, "default": False}
    assert await done(alice.get("/pushrules/global/content/nocake")) == kept
    assert (await ruleset_of(alice))["content"] == [kept]
    await done(alice.delete("/pushrules/global/content/nocake"))
    for answer in (
        await alice.get("/pushrules/global/content/nocake"),
        await alice.delete("/pushrules/global/content/nocake"),
    ):
        assert problem(answer) == (404, "M_NOT_FOUND")


async def test_a_change_reaches_the_other_devices(server: ApiServer) -> None:
    alice = await server.user("alice")
    since = (await sync(alice))["next_batch"]
    await done(alice.put("/pushrules/global/room/!a:b", MUTED))
    synced = await sync(alice, since)
    assert account_data_in(synced)["m.push_rules"] == {"global": await ruleset_of(alice)}


async def test_a_change_of_nothing_wakes_nobody(server: ApiServer) -> None:
    alice = await server.user("alice")
    since = (await sync(alice))["next_batch"]
    await done(alice.put("/pushrules/global/override/.m.rule.master/enabled", {"enabled": False}))
    assert (await sync(alice, since))["next_batch"] == since


async def test_places_before_and_after(server: ApiServer) -> None:
    alice = await server.user("alice")
    rules = "/pushrules/global/room"
    await done(alice.put(f"{rules}/!a:x", MUTED))
    await done(alice.put(f"{rules}/!b:x", MUTED))
    assert await ids_of(alice, "room") == ["!b:x", "!a:x"]
    await done(alice.put(f"{rules}/!c:x?after=!b:x", MUTED))
    await done(alice.put(f"{rules}/!d:x?before=!b:x", MUTED))
    assert await ids_of(alice, "room") == ["!d:x", "!b:x", "!c:x", "!a:x"]
    await done(alice.put(f"{rules}/!a:x?before=!d:x", MUTED))
    assert await ids_of(alice, "room") == ["!a:x", "!d:x", "!b:x", "!c:x"]
    refused = await alice.put(f"{rules}/!e:x?before=!unknown:x", MUTED)
    assert problem(refused) == (400, "M_UNKNOWN")


async def test_default_rules_can_be_switched_and_changed_only(server: ApiServer) -> None:
    alice = await server.user("alice")
    rule = "/pushrules/global/underride/.m.rule.message"
    await done(alice.put(f"{rule}/enabled", {"enabled": False}))
    await done(alice.put(f"{rule}/actions", {"actions": []}))
    assert await done(alice.get(f"{rule}/enabled")) == {"enabled": False}
    assert await done(alice.get(f"{rule}/actions")) == {"actions": []}
    assert problem(await alice.delete(rule)) == (400, "M_INVALID_PARAM")
    assert problem(await alice.put(rule, MUTED)) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("content/a/enabled", {"enabled": True}, (404, "M_NOT_FOUND")),
        ("content/a/actions", {"actions": []}, (404, "M_NOT_FOUND")),
        ("content/a/enabled", {"enabled": "yes"}, (400, "M_BAD_JSON")),
        ("content/a/enabled", {}, (400, "M_BAD_JSON")),
        ("content/a/actions", {"actions": "notify"}, (400, "M_BAD_JSON")),
        ("content/a", {"pattern": "a"}, (400, "M_MISSING_PARAM")),
        ("content/a", {"actions": []}, (400, "M_MISSING_PARAM")),
        ("content/a", {"pattern": 1, "actions": []}, (400, "M_BAD_JSON")),
        ("override/a", {"actions": [5]}, (400, "M_BAD_JSON")),
        ("override/a%2Fb", {"actions": []}, (400, "M_INVALID_PARAM")),
        ("override/a%5Cb", {"actions": []}, (400, "M_INVALID_PARAM")),
        ("nonsense/a", {"actions": []}, (400, "M_INVALID_PARAM")),
    ],
)
async def test_what_cannot_be_is_refused(
    server: ApiServer, path: str, body: object, expected: tuple[int, str]
) -> None:
    alice = await server.user("alice")
    assert problem(await alice.put(f"/pushrules/global/{path}", body)) == expected


async def test_other_scopes_are_unknown(server: ApiServer) -> None:
    alice = await server.user("alice")
    answer = await alice.get("/pushrules/device/override/a")
    assert problem(answer) == (404, "M_UNRECOGNIZED")
