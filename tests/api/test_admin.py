"""Administrators look at accounts, lock and suspend them."""

from urllib.parse import quote

import pytest

from tests.api.chat import create_room, done, redact, room_path, send, sync
from tests.api.server import ApiServer, Person, problem

V1 = "/_matrix/client/v1/admin"
FORBIDDEN = (403, "M_FORBIDDEN")
SUSPENDED = (403, "M_USER_SUSPENDED")


def path(kind: str, person: Person) -> str:
    return f"{V1}/{kind}/{quote(person.user_id)}"


async def test_whois_tells_administrators_and_oneself(server: ApiServer) -> None:
    root, alice, bob = (
        await server.admin("root"),
        await server.user("alice"),
        await server.user("b"),
    )
    where = f"/admin/whois/{quote(alice.user_id)}"
    assert problem(await bob.get(where)) == FORBIDDEN
    for person in (root, alice):
        told = await done(person.get(where))
        assert told["user_id"] == alice.user_id
        assert list(told["devices"]) == [alice.device_id]
    assert problem(await root.get("/admin/whois/%40nobody%3Alocalhost")) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("kind", ["lock", "suspend"])
async def test_only_administrators_restrict_and_nobody_restricts_them(
    server: ApiServer, kind: str
) -> None:
    root, other, alice = await server.admin("root"), await server.admin("r"), await server.user("a")
    body = {f"{kind}ed" if kind == "suspend" else "locked": True}
    assert problem(await alice.get(path(kind, alice))) == FORBIDDEN
    assert problem(await alice.put(path(kind, alice), body)) == FORBIDDEN
    assert problem(await alice.get(f"{V1}/{kind}/%40nobody%3Alocalhost")) == FORBIDDEN
    for admin in (root, other):
        assert problem(await root.put(path(kind, admin), body)) == FORBIDDEN
    nobody = f"{V1}/{kind}/%40nobody%3Alocalhost"
    assert problem(await root.put(nobody, body)) == (404, "M_NOT_FOUND")
    elsewhere = f"{V1}/{kind}/%40a%3Aelsewhere.org"
    assert problem(await root.put(elsewhere, body)) == (400, "M_INVALID_PARAM")
    assert problem(await root.put(path(kind, alice), {})) == (400, "M_BAD_JSON")


async def test_a_locked_account_may_only_log_out(server: ApiServer) -> None:
    root, alice = await server.admin("root"), await server.user("alice")
    await done(alice.get("/account/whoami"))
    assert await done(root.put(path("lock", alice), {"locked": True})) == {"locked": True}
    assert await done(root.get(path("lock", alice))) == {"locked": True}
    refused = await alice.get("/sync")
    assert problem(refused) == (401, "M_USER_LOCKED")
    assert refused.json()["soft_logout"] is True
    await done(root.put(path("lock", alice), {"locked": False}))
    await done(alice.get("/account/whoami"))
    await done(root.put(path("lock", alice), {"locked": True}))
    await done(alice.post("/logout"))


async def test_a_suspended_account_reads_and_leaves_but_says_nothing(server: ApiServer) -> None:
    root, alice, bob = (
        await server.admin("root"),
        await server.user("alice"),
        await server.user("b"),
    )
    room_id, other = await create_room(alice, bob), await create_room(bob)
    own, theirs = await send(alice, room_id), await send(bob, room_id)
    await done(root.put(path("suspend", alice), {"suspended": True}))
    assert await done(root.get(path("suspend", alice))) == {"suspended": True}
    where = room_path(room_id)
    for method, target in (
        ("POST", "/createRoom"),
        ("PUT", f"{where}/send/m.room.message/x1"),
        ("PUT", f"{where}/state/m.room.topic"),
        ("POST", f"{room_path(other)}/join"),
        ("POST", f"/join/{quote(other)}"),
        ("POST", f"/knock/{quote(other)}"),
        ("POST", f"{where}/invite"),
        ("POST", f"{where}/kick"),
        ("POST", f"{where}/ban"),
        ("PUT", f"/profile/{quote(alice.user_id)}/displayname"),
        ("PUT", f"{where}/redact/{quote(theirs)}/x2"),
    ):
        assert problem(await alice.request(method, target, {})) == SUSPENDED, target
    await redact(alice, room_id, own)
    await sync(alice)
    await done(alice.post(f"{where}/leave"))
    await done(root.put(path("suspend", alice), {"suspended": False}))
    await create_room(alice)


async def test_administrators_are_told_what_they_can_do(server: ApiServer) -> None:
    root, alice = await server.admin("root"), await server.user("alice")
    able = (await done(root.get("/capabilities")))["capabilities"]
    assert able["m.account_moderation"] == {"suspend": True, "lock": True}
    assert "m.account_moderation" not in (await done(alice.get("/capabilities")))["capabilities"]
