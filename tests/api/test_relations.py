from typing import Any
from urllib.parse import quote

from tests.api.chat import create_room, done, in_thread, redact, room_path, send
from tests.api.server import ApiServer, Person, problem

V1 = "/_matrix/client/v1"
NOT_FOUND = (404, "M_NOT_FOUND")


def relation(rel_type: str, event_id: str, **more: object) -> dict[str, object]:
    return {"m.relates_to": {"rel_type": rel_type, "event_id": event_id}, **more}


def edit_of(event_id: str, body: str) -> dict[str, object]:
    return relation("m.replace", event_id, **{"m.new_content": {"body": body}})


async def bundled(person: Person, room_id: str, event_id: str) -> dict[str, Any]:
    """The relations told with an event, which must be the same wherever it is shown."""
    room = room_path(room_id)
    event = await done(person.get(f"{room}/event/{quote(event_id)}"))
    context = await done(person.get(f"{room}/context/{quote(event_id)}"))
    page = await done(person.get(f"{room}/messages", dir="b", limit=100))
    paged = next(each for each in page["chunk"] if each["event_id"] == event_id)
    found = [each["unsigned"].get("m.relations", {}) for each in (event, context["event"], paged)]
    assert found[0] == found[1] == found[2]
    relations: dict[str, Any] = found[0]
    return relations


async def children(person: Person, room_id: str, path: str, **query: str | int) -> dict[str, Any]:
    return await done(person.get(f"{V1}{room_path(room_id)}/relations/{path}", **query))


def ids(answer: dict[str, Any]) -> list[str]:
    return [event["event_id"] for event in answer["chunk"]]


async def test_the_latest_edit_is_bundled_whole(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    event_id = await send(alice, room_id, "first")
    assert await bundled(bob, room_id, event_id) == {}
    await send(alice, room_id, "* second", **edit_of(event_id, "second"))
    server.clock.advance(1)
    last = await send(alice, room_id, "* third", **edit_of(event_id, "third"))
    server.clock.advance(1)
    await send(bob, room_id, "* forged", **edit_of(event_id, "forged"))
    await send(alice, room_id, "no new content", **relation("m.replace", event_id))
    edit = (await bundled(bob, room_id, event_id))["m.replace"]
    assert edit["event_id"] == last
    assert edit["room_id"] == room_id
    assert edit["content"]["m.new_content"] == {"body": "third"}
    await redact(alice, room_id, last)
    edit = (await bundled(bob, room_id, event_id))["m.replace"]
    assert edit["content"]["m.new_content"] == {"body": "second"}
    await redact(alice, room_id, event_id)
    assert await bundled(bob, room_id, event_id) == {}


async def test_a_thread_is_told_at_its_root(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob, carol)
    root = await send(alice, room_id, "root")
    await send(bob, room_id, "one", **in_thread(root))
    last = await send(bob, room_id, "two", **in_thread(root))
    await send(bob, room_id, "* 2", **edit_of(last, "2"))
    for person, has_written in ((alice, True), (bob, True), (carol, False)):
        thread = (await bundled(person, room_id, root))["m.thread"]
        assert thread["count"] == 2
        assert thread["current_user_participated"] == has_written
        assert thread["latest_event"]["event_id"] == last
        edit = thread["latest_event"]["unsigned"]["m.relations"]["m.replace"]
        assert edit["content"]["m.new_content"] == {"body": "2"}
    await redact(bob, room_id, last)
    thread = (await bundled(alice, room_id, root))["m.thread"]
    assert (thread["count"], thread["latest_event"]["content"]["body"]) == (1, "one")


async def test_references_are_listed(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    event_id = await send(alice, room_id)
    referring = [await send(alice, room_id, **relation("m.reference", event_id)) for _ in range(2)]
    chunk = [{"event_id": each} for each in referring]
    assert await bundled(alice, room_id, event_id) == {"m.reference": {"chunk": chunk}}


async def test_nothing_relates_across_rooms(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    private = await create_room(alice, preset="private_chat")
    event_id = await send(alice, private)
    other = await create_room(bob)
    await send(bob, other, **in_thread(event_id))
    await send(bob, other, **relation("m.reference", event_id))
    await send(alice, await create_room(alice), "*", **edit_of(event_id, "x"))
    assert await bundled(alice, private, event_id) == {}
    assert ids(await children(alice, private, quote(event_id))) == []
    answer = await bob.get(f"{V1}{room_path(other)}/relations/{quote(event_id)}")
    assert problem(answer) == NOT_FOUND


async def test_children_are_paged_and_chosen(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    parent = await send(alice, room_id)
    threaded = [await send(alice, room_id, str(n), **in_thread(parent)) for n in range(4)]
    reference = await send(alice, room_id, **relation("m.reference", parent))
    path = quote(parent)
    assert ids(await children(alice, room_id, path)) == [reference, *threaded[::-1]]
    assert ids(await children(alice, room_id, f"{path}/m.thread")) == threaded[::-1]
    of_type = await children(alice, room_id, f"{path}/m.thread/m.room.message", dir="f")
    assert ids(of_type) == threaded
    assert ids(await children(alice, room_id, f"{path}/m.thread/m.sticker")) == []
    first = await children(alice, room_id, f"{path}/m.thread", limit=3)
    assert ids(first) == threaded[:0:-1]
    assert "prev_batch" not in first
    rest = {"from": first["next_batch"]}
    second = await children(alice, room_id, f"{path}/m.thread", limit=3, **rest)
    assert ids(second) == threaded[:1]
    assert "next_batch" not in second
    assert "prev_batch" in second


async def test_children_of_children(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    chain = [await send(alice, room_id)]
    for _ in range(4):
        chain.append(await send(alice, room_id, **relation("m.x", chain[-1])))
    direct = await children(alice, room_id, quote(chain[0]))
    assert ids(direct) == chain[1:2]
    answer = await children(alice, room_id, quote(chain[0]), recurse="true", dir="f")
    assert ids(answer) == chain[1:4]
    assert answer["recursion_depth"] == 3


async def test_threads_are_listed_by_their_latest_event(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    roots = [await send(alice, room_id, str(n)) for n in range(3)]
    for root in (roots[2], roots[0], roots[1], roots[0]):
        await send(alice, room_id, **in_thread(root))
    await send(bob, room_id, **in_thread(roots[2]))
    path = f"{V1}{room_path(room_id)}/threads"
    order = [roots[2], roots[0], roots[1]]
    whole = await done(alice.get(path))
    assert ids(whole) == order
    assert whole["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["count"] == 2
    assert ids(await done(bob.get(path, include="participated"))) == order[:1]
    assert ids(await done(alice.get(path, include="participated"))) == order
    first = await done(alice.get(path, limit=2))
    rest = {"from": first["next_batch"]}
    second = await done(alice.get(path, limit=2, **rest))
    assert ids(first) + ids(second) == order
    assert "next_batch" not in second
    assert problem(await alice.get(path, include="some")) == (400, "M_INVALID_PARAM")
    assert problem(await bob.get(f"{V1}{room_path('!no:x')}/threads")) == (403, "M_FORBIDDEN")
