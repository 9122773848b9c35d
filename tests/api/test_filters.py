import pytest

from tests.api.chat import create_room, done, room_of, send, sync, user_path
from tests.api.server import ApiServer, problem

DEFINITION = {
    "room": {"timeline": {"limit": 1, "types": ["m.room.message"]}},
    "event_fields": ["type", "content"],
    "org.example": {"kept": True},
}


async def test_a_filter_is_given_back_as_it_was(server: ApiServer) -> None:
    alice = await server.user("alice")
    filters = f"{user_path(alice)}/filter"
    filter_id = (await done(alice.post(filters, DEFINITION)))["filter_id"]
    assert not filter_id.startswith("{")
    assert await done(alice.get(f"{filters}/{filter_id}")) == DEFINITION
    again = await done(alice.post(filters, dict(reversed(DEFINITION.items()))))
    assert again == {"filter_id": filter_id}


async def test_a_sync_may_name_a_filter_or_spell_it_out(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    sent = [await send(alice, room_id) for _ in range(2)]
    filter_id = (await done(alice.post(f"{user_path(alice)}/filter", DEFINITION)))["filter_id"]
    for chosen in (filter_id, '{"room":{"timeline":{"limit":1,"types":["m.room.message"]}}}'):
        for _ in range(2):
            synced = await sync(alice, filter=chosen)
            events = room_of(synced, room_id)["timeline"]["events"]
            assert [event["event_id"] for event in events] == sent[1:]


async def test_filters_are_their_owners(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    filters = f"{user_path(alice)}/filter"
    filter_id = (await done(alice.post(filters, DEFINITION)))["filter_id"]
    await sync(alice, filter=filter_id)
    assert problem(await bob.get(f"{filters}/{filter_id}")) == (403, "M_FORBIDDEN")
    assert problem(await bob.post(filters, {})) == (403, "M_FORBIDDEN")
    own = await bob.get(f"{user_path(bob)}/filter/{filter_id}")
    assert problem(own) == (404, "M_NOT_FOUND")
    assert problem(await bob.get("/sync", filter=filter_id)) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    "definition",
    [
        {"room": {"timeline": {"limit": -1}}},
        {"room": {"timeline": {"types": "m.room.message"}}},
        {"room": {"rooms": ["not a room"]}},
        {"presence": {"senders": ["nobody"]}},
        {"event_format": "nonsense"},
        {"room": []},
    ],
)
async def test_what_is_no_filter_is_refused(server: ApiServer, definition: object) -> None:
    alice = await server.user("alice")
    refused = await alice.post(f"{user_path(alice)}/filter", definition)
    assert problem(refused) == (400, "M_BAD_JSON")


async def test_a_query_must_hold_a_filter(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert problem(await alice.get("/sync", filter="{broken")) == (400, "M_NOT_JSON")
    assert problem(await alice.get("/sync", filter='{"room":5}')) == (400, "M_BAD_JSON")
    deep = "{" + '"a":' + "[" * 5000 + "]" * 5000 + "}"
    assert problem(await alice.get("/sync", filter=deep)) == (400, "M_NOT_JSON")
    assert problem(await alice.get("/sync", filter="unknown")) == (400, "M_INVALID_PARAM")
