"""PostgreSQL ends every connection, as when it restarts: it is said so, then all goes on."""

import asyncio

import asyncpg
import httpx

from tests.api.chat import create_room, room_of, room_path, send, sync
from tests.api.server import ApiServer, FakeClock, Person


async def end_all_connections(url: str) -> None:
    connection = await asyncpg.connect(url)
    sql = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.fetch(sql)
    await connection.close()


async def say(person: Person, room_id: str, txn: str) -> httpx.Response:
    path = f"{room_path(room_id)}/send/m.room.message/{txn}"
    return await person.put(path, {"msgtype": "m.text", "body": txn})


async def test_connections_are_made_again(postgres_url: str) -> None:
    here, there = [await ApiServer.start(postgres_url, FakeClock()) for _ in range(2)]
    try:
        alice, bob = await here.user("alice"), await here.user("bob")
        room_id = await create_room(alice, bob)
        elsewhere = there.holding(bob.token)
        since = (await sync(elsewhere))["next_batch"]
        poll = asyncio.create_task(sync(elsewhere, since, timeout=20_000))
        await send(alice, room_id, "before")
        since = (await asyncio.wait_for(poll, 10))["next_batch"]

        poll = asyncio.create_task(sync(elsewhere, since, timeout=20_000))
        await end_all_connections(postgres_url)
        answers = [await say(alice, room_id, "after") for _ in range(3)]
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) <= {200, 503}
        assert statuses[-1] == 200
        told = await asyncio.wait_for(poll, 15)
        (event,) = room_of(told, room_id)["timeline"]["events"]
        assert event["event_id"] == answers[-1].json()["event_id"]

        await end_all_connections(postgres_url)
        reads = [await alice.get(f"{room_path(room_id)}/state") for _ in range(10)]
        assert {answer.status_code for answer in reads} <= {200, 503}
        assert reads[-1].status_code == 200
    finally:
        await there.close()
        await here.close()
