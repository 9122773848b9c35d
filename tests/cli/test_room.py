from pathlib import Path

from tests.cli.command import as_user
from tests.homeserver import Homeserver
from tidings.protocol.ids import localpart_of


async def test_the_life_of_a_room(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    ann, ben = as_user(tmp_path, alice), as_user(tmp_path, bob)
    alias = localpart_of(alice.user_id)
    made = await ann.run("room", "create", "Dev", "--alias", alias, "--topic", "work", "--public")
    room_id = made.out.strip()
    assert room_id.startswith("!")

    assert (await ben.run("room", "join", f"#{alias}")).out == made.out
    members = await ann.run("room", "members", "Dev", "--json")
    assert {m["user_id"]: m["membership"] for m in members.records} == {
        alice.user_id: "join",
        bob.user_id: "join",
    }
    (listed,) = (await ben.run("room", "list", "--json")).records
    assert (listed["room_id"], listed["name"], listed["membership"]) == (room_id, "Dev", "join")
    assert (await ben.run("room", "leave", "Dev")).code == 0
    assert (await ben.run("room", "list")).out == ""

    assert (await ann.run("room", "invite", "Dev", bob.user_id)).code == 0
    assert (await ben.run("room", "list")).out == f"{room_id}\tDev (invite)\n"


async def test_inviting_several_may_be_partly_done(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    ann = as_user(tmp_path, alice)
    room_id = (await ann.run("room", "create")).out.strip()
    result = await ann.run("room", "invite", room_id, alice.user_id, bob.user_id)
    assert result.code == 9
    assert f"{alice.user_id} was not invited" in result.err
    assert (await ann.run("room", "invite", room_id, alice.user_id)).code == 5


async def test_a_private_room_is_closed_to_others(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    made = await as_user(tmp_path, alice).run("room", "create", "--json")
    room_id = str(made.records[0]["room_id"])
    assert (await as_user(tmp_path, bob).run("room", "join", room_id)).code == 5
