from urllib.parse import quote

import pytest

from tests.api.chat import (
    account_data_in,
    create_room,
    done,
    ephemeral,
    in_thread,
    read,
    room_of,
    room_path,
    send,
    sync,
    unread,
    unread_threads,
)
from tests.api.server import ApiServer, Person, problem


async def receipts_of(person: Person, room_id: str) -> dict[str, dict[str, object]]:
    """Receipts in a first sync: by event, then by type; the users."""
    content = ephemeral(await sync(person), room_id, "m.receipt") or {}
    return {
        event_id: {kind: set(who) for kind, who in of.items()} for event_id, of in content.items()
    }


async def test_a_receipt_is_shown_to_the_room(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    event_id = await send(alice, room_id)
    since = (await sync(alice))["next_batch"]
    await read(bob, room_id, event_id)
    content = ephemeral(await sync(alice, since), room_id, "m.receipt")
    assert content == {event_id: {"m.read": {bob.user_id: {"ts": server.clock.ms}}}}


async def test_a_private_receipt_is_its_owners_alone(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    event_id = await send(alice, room_id)
    since_alice = (await sync(alice))["next_batch"]
    since_bob = (await sync(bob))["next_batch"]
    await read(bob, room_id, event_id, "m.read.private")
    assert await unread(bob, room_id) == (0, 0)
    assert ephemeral(await sync(alice, since_alice), room_id, "m.receipt") is None
    assert await receipts_of(alice, room_id) == {}
    own = ephemeral(await sync(bob, since_bob), room_id, "m.receipt")
    assert own is not None
    assert own[event_id]["m.read.private"].keys() == {bob.user_id}
    assert await receipts_of(bob, room_id) == {event_id: {"m.read.private": {bob.user_id}}}


async def test_a_receipt_never_moves_back(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    first, second = await send(alice, room_id), await send(alice, room_id)
    await read(bob, room_id, second)
    since = (await sync(alice))["next_batch"]
    await read(bob, room_id, first)
    assert await receipts_of(alice, room_id) == {second: {"m.read": {bob.user_id}}}
    again = await sync(alice, since)
    assert again["next_batch"] == since
    assert await unread(bob, room_id) == (0, 0)


async def test_the_more_recent_of_public_and_private_counts(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    sent = [await send(alice, room_id) for _ in range(4)]
    await read(bob, room_id, sent[2], "m.read.private")
    await read(bob, room_id, sent[0])
    assert await unread(bob, room_id) == (1, 0)
    await read(bob, room_id, sent[3])
    assert await unread(bob, room_id) == (0, 0)


async def test_sending_reads_what_was_before(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    await send(alice, room_id)
    assert await unread(bob, room_id) == (1, 0)
    await send(bob, room_id)
    assert await unread(bob, room_id) == (0, 0)
    assert await unread(alice, room_id) == (1, 0)


async def test_threads_are_read_apart(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    root = await send(alice, room_id)
    in_it = [await send(alice, room_id, **in_thread(root)) for _ in range(3)]
    last = await send(alice, room_id)
    assert await unread_threads(bob, room_id) == {"main": (2, 0), root: (3, 0)}
    assert await unread(bob, room_id) == (5, 0)
    await read(bob, room_id, in_it[1], thread_id=root)
    assert await unread_threads(bob, room_id) == {"main": (2, 0), root: (1, 0)}
    await read(bob, room_id, last, thread_id="main")
    assert await unread_threads(bob, room_id) == {"main": (0, 0), root: (1, 0)}
    later = await send(alice, room_id, **in_thread(root))
    await read(bob, room_id, later)
    assert await unread_threads(bob, room_id) == {"main": (0, 0)}


async def test_a_threaded_receipt_says_so(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    root = await send(alice, room_id)
    reply = await send(alice, room_id, **in_thread(root))
    await read(alice, room_id, reply, thread_id=root)
    await read(alice, room_id, root, thread_id="main")
    await read(alice, room_id, reply)
    content = ephemeral(await sync(alice), room_id, "m.receipt")
    assert content is not None
    assert content[root]["m.read"][alice.user_id]["thread_id"] == "main"
    assert reply in content


@pytest.mark.parametrize("thread_id", [5, "", None, [], "$elsewhere", "main"])
async def test_a_thread_must_be_the_events_own(server: ApiServer, thread_id: object) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    root = await send(alice, room_id)
    reply = await send(alice, room_id, **in_thread(root))
    path = f"{room_path(room_id)}/receipt/m.read/{quote(reply)}"
    refused = await alice.post(path, {"thread_id": thread_id})
    assert problem(refused) == (400, "M_INVALID_PARAM")


async def test_a_root_can_be_read_as_part_of_its_thread(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    root = await send(alice, room_id)
    await send(alice, room_id, **in_thread(root))
    await read(alice, room_id, root, thread_id=root)


async def test_fully_read_takes_no_thread(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    path = f"{room_path(room_id)}/receipt/m.fully_read/{quote(await send(alice, room_id))}"
    assert problem(await alice.post(path, {"thread_id": "main"})) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize("event_id", ["$unknown", "nonsense", "%24%C3%A4", "$" + "x" * 2000])
async def test_unknown_events_are_not_found(server: ApiServer, event_id: str) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    path = f"{room_path(room_id)}/receipt/m.read/{event_id}"
    assert problem(await alice.post(path)) == (404, "M_NOT_FOUND")


async def test_an_event_of_another_room_is_not_found(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id, other = await create_room(alice), await create_room(alice)
    event_id = await send(alice, other)
    path = f"{room_path(room_id)}/receipt/m.read/{quote(event_id)}"
    assert problem(await alice.post(path)) == (404, "M_NOT_FOUND")
    body = {"m.fully_read": event_id}
    refused = await alice.post(f"{room_path(room_id)}/read_markers", body)
    assert problem(refused) == (404, "M_NOT_FOUND")


async def test_other_types_are_refused(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    path = f"{room_path(room_id)}/receipt/org.example/{quote(await send(alice, room_id))}"
    assert problem(await alice.post(path)) == (400, "M_INVALID_PARAM")


async def test_outsiders_cannot_tell_whether_there_is_a_room(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    event_id = await send(alice, room_id)
    answers = [
        await bob.post(f"{room_path(room)}/receipt/m.read/{quote(event_id)}")
        for room in (room_id, "!nowhere:localhost")
    ]
    assert problem(answers[0]) == (403, "M_FORBIDDEN")
    assert answers[0].json() == answers[1].json()


async def test_markers_and_receipts_move_together(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    sent = [await send(alice, room_id) for _ in range(3)]
    since = (await sync(bob))["next_batch"]
    body = {"m.fully_read": sent[0], "m.read": sent[1], "m.read.private": sent[2]}
    await done(bob.post(f"{room_path(room_id)}/read_markers", body))
    synced = await sync(bob, since)
    assert account_data_in(room_of(synced, room_id)) == {"m.fully_read": {"event_id": sent[0]}}
    content = ephemeral(synced, room_id, "m.receipt")
    assert content is not None
    assert {event_id: list(of) for event_id, of in content.items()} == {
        sent[1]: ["m.read"],
        sent[2]: ["m.read.private"],
    }
    assert await unread(bob, room_id) == (0, 0)


async def test_nothing_moves_if_one_of_them_is_wrong(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    body = {"m.fully_read": "$unknown", "m.read": await send(alice, room_id)}
    refused = await alice.post(f"{room_path(room_id)}/read_markers", body)
    assert problem(refused) == (404, "M_NOT_FOUND")
    assert await receipts_of(alice, room_id) == {}


async def test_the_marker_moves_forward_only(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    first, second = await send(alice, room_id), await send(alice, room_id)
    for event_id in (second, first):
        await read(alice, room_id, event_id, "m.fully_read")
    kept = account_data_in(room_of(await sync(alice), room_id))
    assert kept["m.fully_read"] == {"event_id": second}


async def test_an_empty_read_markers_request_is_fine(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    assert await done(alice.post(f"{room_path(room_id)}/read_markers")) == {}


async def test_members_of_wrong_types_are_refused(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    refused = await alice.post(f"{room_path(room_id)}/read_markers", {"m.read": 5})
    assert problem(refused) == (400, "M_BAD_JSON")


async def test_a_null_character_in_an_event_id_is_no_fault_of_ours(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    refused = await alice.post(f"{room_path(room_id)}/read_markers", {"m.read": "$a\0b"})
    assert problem(refused) == (404, "M_NOT_FOUND")
    path = f"{room_path(room_id)}/receipt/m.read/%24a%00b"
    assert problem(await alice.post(path)) == (400, "M_INVALID_PARAM")
