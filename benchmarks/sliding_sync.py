"""CPU of sliding sync's first answer for an account in many rooms, memory cold and warm.

    python -m benchmarks.sliding_sync [--rooms 1500] [--database URL]

The bar (issue #3, "Speed"): the first answer, window [0, 19], costs less than 150 ms of CPU. The
server runs in this process and is started anew before the first answer; the client's own cost is
in the figures. On PostgreSQL the database's own processes are not.
"""

import argparse
import asyncio
import json
import tempfile
import time

import httpx

from tidings.server.app import build
from tidings.server.config import load_config

PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
STATE = [["m.room.create", ""], ["m.room.name", ""], ["m.room.member", "$LAZY"],
         ["m.room.member", "$ME"], ["m.room.power_levels", ""]]  # fmt: skip
EXTENSIONS = {
    name: {"enabled": True} for name in ("account_data", "receipts", "typing", "to_device", "e2ee")
}
REPEAT = 5


class Client:
    """An account and its server."""

    def __init__(self, config):
        self.config, self.token = config, ""

    async def __aenter__(self):
        self.server = await build(self.config)
        transport = httpx.ASGITransport(self.server.asgi)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://x", timeout=600)
        return self

    async def __aexit__(self, *_):
        await self.http.aclose()
        await self.server.close()

    async def call(self, method, path, body=None):
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        answer = await self.http.request(method, path, json=body or {}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def measured(self, query="", **lists):
        queries, started = self.server.db.queries, time.process_time()
        answer = await self.call("POST", PATH + query, {"lists": lists, "extensions": EXTENSIONS})
        return (time.process_time() - started) * 1000, self.server.db.queries - queries, answer


def window(last, limit=20, **filters):
    return {
        "ranges": [[0, last]],
        "timeline_limit": limit,
        "required_state": STATE,
        "filters": filters,
    }


async def fill(client, rooms):
    v3 = "/_matrix/client/v3"
    made = await client.call("POST", f"{v3}/register", {
        "username": "alice", "password": "a long password", "auth": {"type": "m.login.dummy"}})  # fmt: skip
    client.token = made["access_token"]
    for number in range(rooms):
        made = await client.call("POST", f"{v3}/createRoom", {"name": f"Room {number}"})
        room = f"{v3}/rooms/{made['room_id']}"
        for txn in range(3):
            await client.call(
                "PUT",
                f"{room}/send/m.room.message/{number}-{txn}",
                {"msgtype": "m.text", "body": "hello"},
            )
    return made["room_id"]


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rooms", type=int, default=1500)
    parser.add_argument("--database")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "database": options.database or f"sqlite:///{folder}/db.sqlite",
            "data_dir": folder,
            "rate_limits": {"enabled": False},
            "passwords": {"memory_kib": 8, "iterations": 1},
            "registration": {"mode": "open"},
        }
        config = load_config(None, {}, settings)
        async with Client(config) as client:
            room_id = await fill(client, options.rooms)
            token = client.token
        figures = {"rooms": options.rooms}

        def note(name, cpu_ms, queries, answer):
            figures[name] = {
                "cpu_ms": round(cpu_ms, 1),
                "queries": queries,
                "rooms": len(answer.get("rooms", {})),
            }

        async with Client(config) as client:
            client.token = token
            note("first_cold", *await client.measured(all=window(19)))
            warm = [await client.measured(all=window(19)) for _ in range(REPEAT)]
            note("first_warm", *sorted(warm, key=lambda each: each[0])[REPEAT // 2])
            note(
                "first_filtered",
                *await client.measured(
                    all=window(19, is_encrypted=False, not_room_types=["m.space"])
                ),
            )
            pos = (await client.measured(all=window(19)))[2]["pos"]
            costs = []
            for number in range(REPEAT):
                await client.call("PUT", f"/_matrix/client/v3/rooms/{room_id}/send/m.room.message/more{number}",
                                  {"msgtype": "m.text", "body": "hello"})  # fmt: skip
                costs.append(await client.measured(f"?pos={pos}", all=window(19)))
                pos = costs[-1][2]["pos"]
            note("one_message", *sorted(costs, key=lambda each: each[0])[REPEAT // 2])
            note("all_rooms", *await client.measured(f"?pos={pos}", all=window(options.rooms, 1)))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    asyncio.run(main())
