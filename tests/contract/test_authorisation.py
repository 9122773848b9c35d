"""Who may do what, for every operation: nobody, an unknown token, guests, locked and banned users,
and strangers to a room, an event, a device or an account."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest

from tests.api.chat import create_room, done, room_path, send, sync
from tests.api.server import ApiServer, Person, problem
from tests.contract.account import MISSING
from tests.contract.definitions import OPERATIONS, Json, Operation
from tests.contract.samples import least_body, least_query

ROUTED = [each for each in OPERATIONS if each.name not in MISSING]
V1, V3 = "/_matrix/client/v1", "/_matrix/client/v3"
BODIES: Mapping[str, Json] = {f"POST {V3}/rooms/{{roomId}}/upgrade": {"new_version": "11"}}
GUESTS_MAY = {  # client-server API, "Guest Access"
    f"GET {V3}/rooms/{{roomId}}/state",
    f"GET {V3}/rooms/{{roomId}}/context/{{eventId}}",
    f"GET {V3}/rooms/{{roomId}}/event/{{eventId}}",
    f"GET {V3}/rooms/{{roomId}}/state/{{eventType}}/{{stateKey}}",
    f"GET {V3}/rooms/{{roomId}}/messages",
    f"GET {V3}/rooms/{{roomId}}/members",
    f"GET {V3}/rooms/{{roomId}}/initialSync",
    f"GET {V3}/sync",
    f"GET {V3}/events ",
    f"GET {V1}/media/download/{{serverName}}/{{mediaId}}",
    f"GET {V1}/media/download/{{serverName}}/{{mediaId}}/{{fileName}}",
    f"GET {V1}/media/thumbnail/{{serverName}}/{{mediaId}}",
    f"POST {V3}/rooms/{{roomId}}/join",
    f"POST {V3}/rooms/{{roomId}}/leave",
    f"PUT {V3}/rooms/{{roomId}}/send/{{eventType}}/{{txnId}}",
    f"PUT {V3}/rooms/{{roomId}}/state/{{eventType}}/{{stateKey}}",
    f"PUT {V3}/sendToDevice/{{eventType}}/{{txnId}}",
    f"PUT {V3}/profile/{{userId}}/{{keyName}}",
    f"DELETE {V3}/profile/{{userId}}/{{keyName}}",
    f"GET {V3}/devices",
    f"GET {V3}/devices/{{deviceId}}",
    f"PUT {V3}/devices/{{deviceId}}",
    f"GET {V3}/account/whoami",
    f"POST {V3}/keys/upload",
    f"POST {V3}/keys/query",
    f"POST {V3}/keys/claim",
}
LOCKED_MAY = {f"POST {V3}/logout", f"POST {V3}/logout/all"}
ANYBODY_MAY = {f"GET {V1}/room_summary/{{roomIdOrAlias}}"}
"""The definition asks for a token; its text lets servers do without."""
STRANGERS_MAY: Mapping[str, tuple[int, str]] = {
    f"GET {V3}/profile/{{userId}}": (200, ""),
    f"GET {V3}/profile/{{userId}}/{{keyName}}": (200, ""),
    f"POST {V3}/users/{{userId}}/report": (200, ""),
    f"POST {V3}/rooms/{{roomId}}/report": (200, ""),  # and learn nothing by it
    f"POST {V3}/rooms/{{roomId}}/invite": (403, "M_THREEPID_DENIED"),
    f"DELETE {V3}/devices/{{deviceId}}": (401, ""),  # asks for the stranger's own password first
    f"GET {V3}/events/{{eventId}}": (404, "M_UNRECOGNIZED"),
}
REFUSED = {(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")}
OTHERS = ("{roomId}", "{roomIdOrAlias}", "{userId}", "{eventId}", "{deviceId}")
_DEEDS = re.compile(r"(POST|PUT|DELETE) /_matrix/client/v3/rooms/\{roomId\}/(?!report)")


class World(NamedTuple):
    """A room of Alice's, what is in it, and who is not."""

    server: ApiServer
    alice: Person
    names: Mapping[str, str]

    async def ask(self, operation: Operation, person: Person) -> httpx.Response:
        """The operation on what is Alice's."""

        def named(found: re.Match[str]) -> str:
            return quote(self.names.get(found[1], found[1]), safe="")

        path = re.sub(r"\{(\w+)\}", named, operation.path.strip())
        body = BODIES.get(operation.name, least_body(operation))
        query = least_query(operation)
        return await person.request(operation.method, path, body, query)


@pytest.fixture
async def world(server: ApiServer) -> World:
    alice = await server.user("alice")
    await done(alice.put(f"/profile/{quote(alice.user_id)}/displayname", {"displayname": "A"}))
    room_id = await create_room(alice, preset="private_chat")
    names = {
        "userId": alice.user_id,
        "deviceId": alice.device_id,
        "roomId": room_id,
        "roomIdOrAlias": room_id,
        "eventId": await send(alice, room_id),
        "eventType": "m.room.message",
        "keyName": "displayname",
        "receiptType": "m.read",
        "kind": "override",
    }
    return World(server, alice, names)


def code(answer: httpx.Response) -> tuple[int, str]:
    try:
        return problem(answer)
    except (ValueError, AttributeError):  # no JSON, or a list
        return answer.status_code, ""


Judge = Callable[[Operation, tuple[int, str]], bool]


async def wrong(
    world: World, person: Callable[[], Awaitable[Person]], is_right: Judge
) -> dict[str, tuple[int, str]]:
    """What is answered otherwise than it should be; a session for each, as some end theirs."""
    found = {}
    for operation in ROUTED:
        answer = code(await world.ask(operation, await person()))
        if not is_right(operation, answer):
            found[operation.name] = answer
    return found


async def test_without_a_token_nothing_that_needs_one(world: World) -> None:
    def is_right(operation: Operation, answer: tuple[int, str]) -> bool:
        asks = operation.needs_token and operation.name not in ANYBODY_MAY
        return not asks or answer == (401, "M_MISSING_TOKEN")

    async def nobody() -> Person:
        return world.server.nobody

    assert await wrong(world, nobody, is_right) == {}


async def test_a_token_that_nobody_holds(world: World) -> None:
    def is_right(operation: Operation, answer: tuple[int, str]) -> bool:
        return not operation.needs_token or answer == (401, "M_UNKNOWN_TOKEN")

    async def forger() -> Person:
        return world.server.holding("no such token")

    assert await wrong(world, forger, is_right) == {}


async def test_guests_do_what_guests_may(world: World) -> None:
    def is_right(operation: Operation, answer: tuple[int, str]) -> bool:
        route, _ = world.server.server.router.find(operation.method, operation.sample_path)
        is_refused = answer == (403, "M_GUEST_ACCESS_FORBIDDEN")
        if operation.name in GUESTS_MAY:
            return not is_refused
        return is_refused == (route.auth == "user")

    assert await wrong(world, world.server.guest, is_right) == {}


async def test_a_locked_account_can_only_log_out(world: World) -> None:
    await world.server.user("locked")
    root = await world.server.admin("root")

    async def locked() -> Person:
        await done(root.put(f"{V1}/admin/lock/%40locked%3Alocalhost", {"locked": False}))
        person = await world.server.log_in("locked")
        await done(root.put(f"{V1}/admin/lock/%40locked%3Alocalhost", {"locked": True}))
        return person

    def is_right(operation: Operation, answer: tuple[int, str]) -> bool:
        if operation.name in LOCKED_MAY:
            return answer[0] == 200
        return not operation.needs_token or answer == (401, "M_USER_LOCKED")

    assert await wrong(world, locked, is_right) == {}


async def test_a_stranger_gets_at_nothing_of_alices(world: World) -> None:
    await world.server.user("eve")

    async def eve() -> Person:
        return await world.server.log_in("eve")

    def is_right(operation: Operation, answer: tuple[int, str]) -> bool:
        if not any(name in operation.path for name in OTHERS) or "room_keys" in operation.path:
            return True
        return answer == STRANGERS_MAY.get(operation.name) or (
            operation.name not in STRANGERS_MAY and answer in REFUSED
        )

    since = (await sync(world.alice))["next_batch"]
    found = await wrong(world, eve, is_right)
    assert found == {}
    assert "rooms" not in await sync(world.alice, since), "nothing has changed"


async def test_a_banned_user_does_nothing_in_the_room(world: World) -> None:
    room_id, bob = world.names["roomId"], await world.server.user("bob")
    where = room_path(room_id)
    await done(world.alice.post(f"{where}/invite", {"user_id": bob.user_id}))
    await done(bob.post(f"{where}/join"))
    await done(world.alice.post(f"{where}/ban", {"user_id": bob.user_id}))
    since = (await sync(world.alice))["next_batch"]
    found = {}
    for operation in ROUTED:
        if not _DEEDS.match(operation.name) or operation.path.endswith(("/leave", "/forget")):
            continue
        answer = code(await world.ask(operation, bob))
        if answer not in REFUSED | {STRANGERS_MAY.get(operation.name, (403, "M_FORBIDDEN"))}:
            found[operation.name] = answer
    assert found == {}
    assert "rooms" not in await sync(world.alice, since), "nothing has changed"
