import asyncio
import json
import signal
from pathlib import Path

from tests.cli.command import Tidings, as_user
from tests.client.wire import Line
from tests.homeserver import Homeserver, ServerProcess
from tidings.client import content, rooms
from tidings.client.messages import send


class Reader:
    """A `tidings tail --json` that runs on while a test does other things."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def bodies(self, count: int) -> list[object]:
        """The texts of the next messages."""
        assert self.process.stdout
        async with asyncio.timeout(30):
            lines = [await self.process.stdout.readline() for _ in range(count)]
        return [json.loads(line)["body"] for line in lines]

    async def interrupt(self) -> tuple[int, str]:
        """End it as Ctrl-C does; what else it printed, and its exit code."""
        self.process.send_signal(signal.SIGINT)
        out, err = await self.process.communicate()
        assert err == b"", err.decode()
        return await self.process.wait(), out.decode()


async def tail(tidings: Tidings, *arguments: str) -> Reader:
    return Reader(await tidings.start("tail", *arguments, "--json", "--quiet"))


async def test_first_the_latest_then_the_new(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    for number in range(5):
        await send(alice, room_id, content.text(f"old {number}"))
    reader = await tail(as_user(tmp_path, alice), room_id, "-n", "2")
    assert await reader.bodies(2) == ["old 3", "old 4"]
    await send(alice, room_id, content.text("new"))
    assert await reader.bodies(1) == ["new"]
    assert await reader.interrupt() == (130, "")


async def test_several_rooms_are_labelled(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    for name in ("Dev", "Ops"):
        room_id = await rooms.create(alice, rooms.CreateRoom(name=name))
        await send(alice, room_id, content.text(f"in {name}"))
    result = await as_user(tmp_path, alice).run("tail", "Dev", "Ops", "--no-follow")
    first, second = result.out.splitlines()
    assert first.startswith("[Dev] ")
    assert second.endswith("in Ops")


async def test_more_old_ones_than_one_answer_holds(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    for number in range(130):
        await send(alice, room_id, content.text(str(number)))
    result = await as_user(tmp_path, alice).run(
        "tail", room_id, "-n", "125", "--no-follow", "--json"
    )
    assert [record["body"] for record in result.records] == [str(n) for n in range(5, 130)]


async def test_a_broken_line_loses_and_repeats_nothing(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    async with Line(server.base_url) as line:
        tidings = as_user(tmp_path, alice).with_environment(TIDINGS_SERVER=line.base_url)
        await send(alice, room_id, content.text("before"))
        reader = await tail(tidings, room_id)
        assert await reader.bodies(1) == ["before"]
        await line.cut()
        for number in range(70):  # more than one answer holds: the gap must be filled
            await send(alice, room_id, content.text(str(number)))
        await line.mend()
        assert await reader.bodies(70) == [str(number) for number in range(70)]
        assert await reader.interrupt() == (130, "")


async def test_a_killed_server_loses_and_repeats_nothing(tmp_path: Path) -> None:
    process = ServerProcess(tmp_path / "server")
    process.start()
    server = Homeserver(process.base_url)
    try:
        alice = await server.user("alice")
        room_id = await rooms.create(alice, rooms.CreateRoom())
        await send(alice, room_id, content.text("before"))
        reader = await tail(as_user(tmp_path, alice), room_id)
        assert await reader.bodies(1) == ["before"]
        for round_ in range(2):
            for number in range(10):
                await send(alice, room_id, content.text(f"{round_}.{number}"))
            process.kill()
            process.start()
        await send(alice, room_id, content.text("end"))
        sent = [f"{round_}.{number}" for round_ in range(2) for number in range(10)]
        assert await reader.bodies(21) == [*sent, "end"]
        assert await reader.interrupt() == (130, "")
    finally:
        await server.close()
        process.stop()


async def test_resume_goes_on_where_the_last_run_ended(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    await send(alice, room_id, content.text("one"))
    tidings = as_user(tmp_path, alice)
    reader = await tail(tidings, room_id, "--resume")
    assert await reader.bodies(1) == ["one"]
    await reader.interrupt()
    await send(alice, room_id, content.text("two"))
    reader = await tail(tidings, room_id, "--resume")
    assert await reader.bodies(1) == ["two"]
    assert await reader.interrupt() == (130, "")


async def test_losing_the_room_ends_it(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await rooms.create(alice, rooms.CreateRoom(preset="public_chat"))
    await rooms.join(bob, room_id)
    await send(alice, room_id, content.text("hello"))
    reader = await tail(as_user(tmp_path, bob), room_id)
    await reader.bodies(1)
    await rooms.leave(bob, room_id)
    async with asyncio.timeout(20):
        assert await reader.process.wait() == 3


async def test_a_room_one_is_not_in_is_not_followed(tmp_path: Path, server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    result = await as_user(tmp_path, bob).run("tail", room_id)
    assert result.code == 3
    assert "join it first" in result.err


async def test_a_time_limit_has_its_own_exit_code(tmp_path: Path, server: Homeserver) -> None:
    alice = await server.user("alice")
    room_id = await rooms.create(alice, rooms.CreateRoom())
    result = await as_user(tmp_path, alice).run("tail", room_id, "--timeout", "1")
    assert result.code == 124
