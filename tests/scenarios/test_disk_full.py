"""The disk is full: messages are refused, none is lost, and there is service again with room."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import pytest

from tests.homeserver import ServerProcess

DISK = "6m"
FILLING_BYTES = 4_500_000
V3 = "/_matrix/client/v3"


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path, None, None]:
    """A file system of its own, a few megabytes large."""
    path = tmp_path / "disk"
    path.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tidings-test", str(path)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("A SMALL DISK CAN BE MADE BY ROOT ONLY: tests/storage fills SQLite's own limit")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
async def process(small_disk: Path, sqlite_template: Path) -> AsyncGenerator[ServerProcess, None]:
    shutil.copyfile(sqlite_template, small_disk / "tidings.db")
    server = ServerProcess(small_disk)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.stop)


class Writer:
    """Somebody who sends numbered messages and notes which were taken."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self.client = client
        self.client.headers["Authorization"] = f"Bearer {token}"
        self.room_id = ""
        self.taken: dict[int, str] = {}

    async def send(self, number: int) -> httpx.Response:
        path = f"{V3}/rooms/{self.room_id}/send/m.room.message/{number}"
        content = {"msgtype": "m.text", "body": f"{number} {'x' * 20_000}"}
        answer = await self.client.put(path, json=content)
        if answer.status_code == httpx.codes.OK:
            self.taken[number] = answer.json()["event_id"]
        return answer

    async def history(self) -> list[str]:
        """The ids of all messages, oldest first."""
        path = f"{V3}/rooms/{self.room_id}/messages"
        answer = await self.client.get(path, params={"dir": "f", "limit": 1000})
        assert answer.status_code == httpx.codes.OK, answer.text
        return [e["event_id"] for e in answer.json()["chunk"] if e["type"] == "m.room.message"]


async def test_a_full_disk(process: ServerProcess, small_disk: Path) -> None:
    async with httpx.AsyncClient(base_url=process.base_url, timeout=30) as client:
        body = {"username": "alice", "password": "pw", "auth": {"type": "m.login.dummy"}}
        login = (await client.post(f"{V3}/register", json=body)).json()
        writer = Writer(client, login["access_token"])
        writer.room_id = (await client.post(f"{V3}/createRoom", json={})).json()["room_id"]
        since = (await client.get(f"{V3}/sync")).json()["next_batch"]

        filling = small_disk / "filling"
        await asyncio.to_thread(fill, filling)
        refusals = await send_until_refused(writer)
        for refusal in refusals:
            assert refusal.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert refusal.json()["errcode"].startswith("M_")
            assert "Traceback" not in refusal.text
        assert await writer.history() == list(writer.taken.values()), "while it is full"

        await asyncio.to_thread(filling.unlink)
        again = [await writer.send(number) for number in range(len(writer.taken) + len(refusals))]
        assert {answer.status_code for answer in again} == {httpx.codes.OK}
        ids = await writer.history()
        assert ids == [writer.taken[number] for number in sorted(writer.taken)]
        assert len(set(ids)) == len(ids)

        await asyncio.to_thread(process.kill)
        await asyncio.to_thread(process.start)
        assert await writer.history() == ids, "after a restart"
        answer = await client.get(f"{V3}/sync", params={"since": since})
        assert answer.json()["rooms"]["join"][writer.room_id]["timeline"]["limited"] is True


def fill(path: Path) -> None:
    """Use up the disk but for a little."""
    with path.open("wb") as file:
        free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
        file.write(b"x" * min(FILLING_BYTES, max(0, free - 400_000)))


async def send_until_refused(writer: Writer) -> list[httpx.Response]:
    """One after the other, then many at once; the refusals."""
    refused: list[httpx.Response] = []
    number = 0
    while len(refused) < 3:
        answer = await writer.send(number)
        if answer.status_code != httpx.codes.OK:
            refused.append(answer)
        number += 1
        assert number < 500, "the disk is not full"
    at_once = [writer.send(number + more) for more in range(10)]
    refused += [a for a in await asyncio.gather(*at_once) if a.status_code != httpx.codes.OK]
    return refused
