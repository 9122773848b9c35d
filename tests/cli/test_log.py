from pathlib import Path

from tests.cli.command import as_user
from tests.homeserver import Homeserver
from tidings.client import content, rooms
from tidings.client.messages import redact, send


async def test_the_latest_messages_oldest_first(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    for number in range(5):
        await send(alice, room_id, content.text(f"message {number}\x1b[31m\nsecond line"))
    slip = await send(alice, room_id, content.text("a slip"))
    await redact(alice, room_id, slip)
    tidings = as_user(tmp_path, alice)
    log = await tidings.run("log", room_id, "-n", "3")
    speaker = alice.user_id.partition(":")[0]
    assert [line.partition(" @")[2] or line for line in log.out.splitlines()] == [
        f"{speaker[1:]}: message 3\ufffd[31m",
        "    second line",
        f"{speaker[1:]}: message 4\ufffd[31m",
        "    second line",
        f"{speaker[1:]}: [removed]",
    ]
    assert (await tidings.run("log", room_id, "-n", "0")).out == ""
    assert (await tidings.run("log", room_id, "-n", "many")).code == 2


async def test_a_closed_pipe_ends_quietly(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    for _ in range(4):
        await send(alice, room_id, content.text("long " * 8000))
    process = await as_user(tmp_path, alice).start("log", room_id)
    assert process.stdout
    assert process.stderr
    await process.stdout.read(10)
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert await process.stderr.read() == b""
    assert await process.wait() == 0
