"""Unread counts: always the same from memory, from the database, and after a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import pytest

from tests.api.chat import (
    counts,
    create_room,
    done,
    in_thread,
    mentioning,
    read,
    redact,
    room_path,
    send,
    sync,
    unread,
    unread_threads,
    user_path,
)
from tests.api.server import ApiServer, Person

Starter = Callable[..., Awaitable[ApiServer]]
MUTED: dict[str, object] = {"actions": []}


async def count(server: ApiServer, person: Person, room_id: str) -> tuple[int, int]:
    """The counts, which must not depend on whether memory holds them."""
    from_memory = await unread(person, room_id)
    server.server.users.clear()
    assert await unread(person, room_id) == from_memory
    return from_memory


async def count_threads(
    server: ApiServer, person: Person, room_id: str
) -> dict[str, tuple[int, int]]:
    from_memory = await unread_threads(person, room_id)
    server.server.users.clear()
    assert await unread_threads(person, room_id) == from_memory
    return from_memory


async def mute(person: Person, room_id: str) -> None:
    path = f"/pushrules/global/room/{quote(room_id, safe='')}"
    await done(person.put(path, MUTED))


async def unmute(person: Person, room_id: str) -> None:
    await done(person.delete(f"/pushrules/global/room/{quote(room_id, safe='')}"))


async def ignore(person: Person, *ignored: Person) -> None:
    content: dict[str, object] = {"ignored_users": {each.user_id: {} for each in ignored}}
    await done(person.put(f"{user_path(person)}/account_data/m.ignored_user_list", content))


async def people(server: ApiServer) -> tuple[Person, Person, str]:
    alice, bob = await server.user("alice"), await server.user("bob")
    return alice, bob, await create_room(alice, bob)


async def test_messages_and_mentions_count(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    await unread(bob, room_id)  # so that memory holds him
    await send(alice, room_id)
    await send(alice, room_id, **mentioning(bob))
    await send(alice, room_id, msgtype="m.notice")
    assert await count(server, bob, room_id) == (2, 1)
    assert await count(server, alice, room_id) == (0, 0)


async def test_a_mention_counts_where_its_type_would_not(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    await unread(bob, room_id)
    await send(alice, room_id)
    path = f"{room_path(room_id)}/send/org.example.custom/1"
    await done(alice.put(path, mentioning(bob)))
    assert await count(server, bob, room_id) == (2, 1)


async def test_what_was_before_joining_does_not_count(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    root = await send(alice, room_id)
    await send(alice, room_id, **in_thread(root))
    bob = await server.user("bob")
    await done(bob.post(f"{room_path(room_id)}/join"))
    assert await count_threads(server, bob, room_id) == {"main": (0, 0)}
    await send(alice, room_id)
    assert await count(server, bob, room_id) == (1, 0)


async def test_coming_back_begins_anew(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    root = await send(alice, room_id, **mentioning(bob))
    await send(alice, room_id, **in_thread(root), **mentioning(bob))
    assert await count_threads(server, bob, room_id) == {"main": (1, 1), root: (1, 1)}
    await done(bob.post(f"{room_path(room_id)}/leave"))
    await send(alice, room_id)
    await done(bob.post(f"{room_path(room_id)}/join"))
    assert await count_threads(server, bob, room_id) == {"main": (0, 0)}


async def test_reading_drops_mentions(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    await unread(bob, room_id)
    first = await send(alice, room_id, **mentioning(bob))
    await send(alice, room_id, **mentioning(bob))
    await read(bob, room_id, first)
    assert await count(server, bob, room_id) == (1, 1)
    await send(bob, room_id)
    assert await count(server, bob, room_id) == (0, 0)
    async with server.server.db.read() as tx:
        assert await server.server.people.notices_changed(tx, 0, 2**60) == []


@pytest.mark.parametrize("explicit", [False, True])
async def test_a_redacted_message_is_unread_no_longer(server: ApiServer, *, explicit: bool) -> None:
    alice, bob, room_id = await people(server)
    if explicit:
        await mute(bob, "!another:localhost")
    await unread(bob, room_id)
    root = await send(alice, room_id)
    sent = [await send(alice, room_id, **mentioning(bob)) for _ in range(2)]
    reply = await send(alice, room_id, **in_thread(root), **mentioning(bob))
    assert await count_threads(server, bob, room_id) == {"main": (3, 2), root: (1, 1)}
    await redact(alice, room_id, sent[0])
    assert await count_threads(server, bob, room_id) == {"main": (2, 1), root: (1, 1)}
    await redact(alice, room_id, reply)
    await redact(alice, room_id, root)
    assert await count_threads(server, bob, room_id) == {"main": (1, 1)}
    await redact(alice, room_id, sent[0])
    assert await count(server, bob, room_id) == (1, 1)
    await read(bob, room_id, sent[0])
    assert await count(server, bob, room_id) == (1, 1)
    await read(bob, room_id, sent[1])
    assert await count(server, bob, room_id) == (0, 0)


async def test_redacting_what_was_read_changes_nothing(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    first = await send(alice, room_id)
    await read(bob, room_id, first)
    await send(alice, room_id)
    await redact(alice, room_id, first)
    assert await count(server, bob, room_id) == (1, 0)


async def test_first_own_rules_keep_the_counts(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    other = await create_room(alice, bob)
    await unread(bob, room_id)
    root = await send(alice, room_id)
    gone = await send(alice, room_id)
    await redact(alice, room_id, gone)
    await send(alice, room_id, **mentioning(bob))
    await send(alice, room_id, **in_thread(root))
    await send(alice, other)
    before = await count_threads(server, bob, room_id)
    assert before == {"main": (2, 1), root: (1, 0)}
    await mute(bob, other)
    assert await count_threads(server, bob, room_id) == before
    assert await count(server, bob, other) == (1, 0)
    await send(alice, room_id)
    await send(alice, other)
    assert await count_threads(server, bob, room_id) == {"main": (3, 1), root: (1, 0)}
    assert await count(server, bob, other) == (1, 0)


async def test_going_back_to_default_rules_keeps_the_counts(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    await mute(bob, room_id)
    for _ in range(3):
        await send(alice, room_id)
    await unmute(bob, room_id)
    assert await count(server, bob, room_id) == (0, 0)
    last = await send(alice, room_id)
    assert await count(server, bob, room_id) == (1, 0)
    await read(bob, room_id, last)
    assert await count(server, bob, room_id) == (0, 0)
    await send(alice, room_id)
    assert await count(server, bob, room_id) == (1, 0)


async def test_people_who_are_ignored_do_not_count(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    carol = await server.user("carol")
    await done(carol.post(f"{room_path(room_id)}/join"))
    await send(alice, room_id)
    await ignore(bob, carol)
    await send(carol, room_id)
    await send(carol, room_id, **mentioning(bob))
    assert await count(server, bob, room_id) == (1, 0)
    await ignore(bob)
    await send(carol, room_id)
    assert await count(server, bob, room_id) == (2, 0)


async def test_counts_survive_a_restart(start_server: Starter) -> None:
    server = await start_server()
    alice, bob, room_id = await people(server)
    await send(alice, room_id, **mentioning(bob))
    carol = await server.user("carol")
    await done(carol.post(f"{room_path(room_id)}/join"))
    await mute(carol, room_id)
    await send(alice, room_id)
    again = await start_server()
    assert await unread(again.holding(bob.token), room_id) == (2, 1)
    assert await unread(again.holding(carol.token), room_id) == (0, 0)
    await send(again.holding(alice.token), room_id)
    assert await unread(again.holding(carol.token), room_id) == (0, 0)


async def test_nothing_is_lost_while_rules_change(server: ApiServer) -> None:
    """Sends and the change of rules share transactions; each message must count once."""
    alice, bob, room_id = await people(server)
    await unread(bob, room_id)
    sending = [send(alice, room_id) for _ in range(10)]
    await asyncio.gather(*sending[:5], mute(bob, "!another:localhost"), *sending[5:])
    assert await count(server, bob, room_id) == (10, 0)


async def test_the_counts_come_with_the_event(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    since = (await sync(bob))["next_batch"]
    await send(alice, room_id)
    synced = await sync(bob, since)
    assert counts(synced, room_id) == (1, 0)
    last = synced["rooms"]["join"][room_id]["timeline"]["events"][-1]["event_id"]
    await read(bob, room_id, last)
    assert counts(await sync(bob, synced["next_batch"]), room_id) == (0, 0)


@pytest.mark.parametrize("explicit", [False, True])
async def test_a_mention_of_the_room_needs_power(server: ApiServer, *, explicit: bool) -> None:
    alice, bob, room_id = await people(server)
    carol = await server.user("carol")
    await done(carol.post(f"{room_path(room_id)}/join"))
    if explicit:
        await mute(bob, "!another:localhost")
    everybody = {"m.mentions": {"room": True}}
    await send(carol, room_id, **everybody)
    assert await count(server, bob, room_id) == (1, 0)
    await send(alice, room_id, **everybody)
    assert await count(server, bob, room_id) == (2, 1)
    levels = {"users": {alice.user_id: 100}, "notifications": {"room": 0}}
    await done(alice.put(f"{room_path(room_id)}/state/m.room.power_levels", levels))
    root = await send(carol, room_id, **everybody)
    await send(carol, room_id, **in_thread(root), **everybody)
    assert await count_threads(server, bob, room_id) == {"main": (3, 2), root: (1, 1)}


@pytest.mark.parametrize("explicit", [False, True])
async def test_edits_count_only_where_they_mention(server: ApiServer, *, explicit: bool) -> None:
    alice, bob, room_id = await people(server)
    if explicit:
        await mute(bob, "!another:localhost")
    first = await send(alice, room_id)
    edit: dict[str, object] = {
        "m.relates_to": {"rel_type": "m.replace", "event_id": first},
        "m.new_content": {"msgtype": "m.text", "body": "better"},
    }
    await send(alice, room_id, **edit)
    assert await count(server, bob, room_id) == (1, 0)
    named = await send(alice, room_id, **edit, **mentioning(bob))
    assert await count(server, bob, room_id) == (2, 1)
    await redact(alice, room_id, named)
    assert await count(server, bob, room_id) == (1, 0)
    reply = await send(alice, room_id, **in_thread(first))
    of_reply = {**edit, "m.relates_to": {"rel_type": "m.replace", "event_id": reply}}
    await send(alice, room_id, **of_reply)
    assert await count_threads(server, bob, room_id) == {"main": (1, 0), first: (1, 0)}


async def test_keywords_and_properties_count_as_their_rules_say(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    highlight = ["notify", {"set_tweak": "highlight"}]
    await done(bob.put("/pushrules/global/content/cake", {"pattern": "ca?e", "actions": highlight}))
    conditions = {
        "is": {"kind": "event_property_is", "key": "content.urgent", "value": True},
        "holds": {"kind": "event_property_contains", "key": r"content.tags", "value": "ops"},
        "dots": {"kind": "event_property_is", "key": r"content.org\.dotted", "value": 1},
    }
    for name, condition in conditions.items():
        rule: dict[str, object] = {"conditions": [condition], "actions": highlight}
        await done(bob.put(f"/pushrules/global/override/{name}", rule))
    quiet: list[dict[str, object]] = [
        {"urgent": 1}, {"urgent": "true"}, {"tags": "ops"}, {"tags": ["oops"]},
        {"org": {"dotted": 1}}, {"org.dotted": True},
    ]  # fmt: skip
    for content in quiet:
        await send(alice, room_id, "pancakes", **content)
    assert await count(server, bob, room_id) == (len(quiet), 0)
    await send(alice, room_id, "CAKE, please")
    loud: list[dict[str, object]] = [{"urgent": True}, {"tags": ["x", "ops"]}, {"org.dotted": 1}]
    for content in loud:
        await send(alice, room_id, **content)
    assert await count(server, bob, room_id) == (len(quiet) + 4, 4)


async def test_a_receipt_of_any_device_counts(server: ApiServer) -> None:
    alice, bob, room_id = await people(server)
    phone = await server.log_in("bob")
    since = (await sync(bob))["next_batch"]
    event_id = await send(alice, room_id)
    await read(phone, room_id, event_id, "m.read.private")
    assert counts(await sync(bob, since), room_id) == (0, 0)
    assert await count(server, phone, room_id) == (0, 0)
