from pathlib import Path

from tests.cli.command import as_user
from tests.homeserver import Homeserver
from tidings.client import content, rooms
from tidings.client.history import get_event
from tidings.client.messages import send
from tidings.client.state import content_of
from tidings.protocol.ids import EventId, RoomId


async def test_text_comes_from_the_command_line_or_a_pipe(
    tmp_path: Path, server: Homeserver
) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom(name="Dev"))
    tidings = as_user(tmp_path, alice)
    quiet = await tidings.run("send", "Dev", "hello")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    await tidings.run("send", "Dev", stdin="from a pipe\nof two lines\n")
    await tidings.run("send", "Dev", "-", "--notice", stdin="dash")
    log = await tidings.run("log", room_id, "--json")
    assert [(r["msgtype"], r["body"]) for r in log.records] == [
        ("m.text", "hello"),
        ("m.text", "from a pipe\nof two lines"),
        ("m.notice", "dash"),
    ]


async def test_the_room_may_come_from_the_environment(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    tidings = as_user(tmp_path, alice).with_environment(TIDINGS_ROOM=room_id)
    assert (await tidings.run("send", "one argument is text")).code == 0
    assert (await tidings.run("send", stdin="piped")).code == 0
    assert (await tidings.run("send", room_id, "two are a room and text")).code == 0
    bodies = [record["body"] for record in (await tidings.run("log", "--json")).records]
    assert bodies == ["one argument is text", "piped", "two are a room and text"]


async def test_the_same_key_sends_once(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    tidings = as_user(tmp_path, alice)
    sent = [
        await tidings.run("send", room_id, text, "--txn", "build/7", "--print-id")
        for text in ("green", "green", "other")
    ]
    assert len({result.out for result in sent}) == 1
    log = await tidings.run("log", room_id, "--json")
    assert [record["body"] for record in log.records] == ["green"]


async def test_relations(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await rooms.create(alice, rooms.CreateRoom(invite=[bob.user_id]))
    await rooms.join(bob, room_id)
    asked = await send(bob, room_id, content.text("lunch?"))
    tidings = as_user(tmp_path, alice)

    async def sent(*arguments: str) -> dict[str, object]:
        result = await tidings.run("send", room_id, *arguments, "--json")
        event_id = EventId(str(result.records[0]["event_id"]))
        return content_of(await get_event(alice, RoomId(room_id), event_id))

    reply = await sent("yes", "--reply", asked)
    assert content.replied_event_of(reply) == asked
    assert content.mentioned_users(reply) == [bob.user_id]
    assert content.relation_of(await sent("more", "--thread", asked)) == ("m.thread", asked)
    mention = await sent("--mention", bob.user_id, "--md", "see **this**")
    assert content.mentioned_users(mention) == [bob.user_id]
    assert mention["formatted_body"] == "see <strong>this</strong>"
    own = await send(alice, room_id, content.text("tpyo"))
    assert content.relation_of(await sent("typo", "--edit", own)) == ("m.replace", own)
    assert (await tidings.run("send", room_id, "x", "--reply", "$nothing")).code == 3


async def test_writing_to_a_person(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    assert (await as_user(tmp_path, alice).run("send", bob.user_id, "hi")).code == 0
    assert (await as_user(tmp_path, bob).run("send", alice.user_id, "hi yourself")).code == 0
    log = await as_user(tmp_path, alice).run("log", bob.user_id, "--json")
    assert [record["body"] for record in log.records] == ["hi", "hi yourself"]


async def test_refusals_have_their_exit_codes(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await rooms.create(alice, rooms.CreateRoom(name="Dev"))
    outsider = as_user(tmp_path, bob)
    assert (await outsider.run("send", room_id, "let me in")).code == 5
    assert (await outsider.run("send", "Dev", "let me in")).code == 3
    assert (await outsider.run("send", "#nowhere", "x")).code == 3
    stranger = outsider.with_environment(TIDINGS_TOKEN="nonsense")
    assert (await stranger.run("send", room_id, "x")).code == 4
