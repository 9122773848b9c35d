"""Proof that the load generator notices faults, and what it costs by itself.

An in-memory stub server answers just the calls `send` and `deliver` make. Told to,
it loses, duplicates, reorders or alters now and then an event for one member; each
such run must say FAILED, and the faultless one ok. The faultless run also shows the
generator's ceiling: its CPU for a message and for a delivery.

python selftest.py [--members 100] [--duration 3]
"""

import argparse
import asyncio
import bisect
import contextlib
import json
import multiprocessing
import subprocess
import sys
import time
from urllib.parse import parse_qs, unquote

import httptools
import orjson
import uvloop

FAULTS = ["none", "lose", "duplicate", "swap", "alter"]


class Room:
    def __init__(self) -> None:
        self.members: set[str] = set()
        self.positions: list[int] = []
        self.events: list[dict] = []


class Stub:
    """The state of the stub server, and its faults."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.position = 0
        self.rooms: dict[str, Room] = {}
        self.of_user: dict[str, list[str]] = {}
        self.waiting: dict[str, tuple[Answerer, int, int]] = {}
        self.sockets: dict[str, tuple[Answerer, int, int]] = {}
        self.transactions: dict[tuple[str, str], str] = {}
        self.held: list[dict] = []

    def add(self, room_id: str, kind: str, sender: str, content: dict) -> str:
        self.position += 1
        room = self.rooms[room_id]
        event_id = f"${self.position}"
        room.positions.append(self.position)
        room.events.append(
            {
                "type": kind,
                "sender": sender,
                "event_id": event_id,
                "content": content,
                "origin_server_ts": int(time.time() * 1000),
            }
        )
        for user in room.members:
            waiter = self.waiting.pop(user, None)
            if waiter is not None:
                answerer, since, limit = waiter
                answerer.answer(200, self.sync(user, since, limit))
            elif user in self.sockets:
                self.push(user, *self.sockets[user])
        return event_id

    def push(self, user: str, answerer: "Answerer", since: int, limit: int) -> None:
        """What is new, as a WebSocket frame."""
        answer = self.sync(user, since, limit)
        if "rooms" in answer:
            answerer.frame(answer)
        self.sockets[user] = (answerer, self.position, limit)

    def sync(self, user: str, since: int, limit: int) -> dict:
        joined = {}
        for room_id in self.of_user.get(user, ()):
            room = self.rooms[room_id]
            first = bisect.bisect_right(room.positions, since)
            events = room.events[first:]
            if not events:
                continue
            limited = len(events) > limit
            events = events[-limit:]
            if self.fault != "none" and user.startswith("@deliver1-1:") and since:
                events = self.spoil(events)
            joined[room_id] = {
                "timeline": {
                    "events": events,
                    "limited": limited,
                    "prev_batch": f"s{room.positions[len(room.events) - len(events)] - 1}"
                    if limited
                    else "s0",
                }
            }
        answer: dict = {"next_batch": f"s{self.position}"}
        if joined:
            answer["rooms"] = {"join": joined}
        return answer

    def spoil(self, events: list[dict]) -> list[dict]:
        result = []
        for event in events:
            unlucky = event["type"] == "m.room.message" and int(event["event_id"][1:]) % 10 == 3
            if unlucky and self.fault == "lose":
                continue
            if unlucky and self.fault == "swap":
                self.held.append(event)
                continue
            if unlucky and self.fault == "alter":
                event = event | {
                    "content": event["content"] | {"body": event["content"]["body"] + "!"}
                }
            result.append(event)
            if unlucky and self.fault == "duplicate":
                result.append(event)
        if result and self.held:
            result.append(self.held.pop())
        return result

    def handle(
        self, answerer: "Answerer", method: str, path: str, query: str, token: str, body: bytes
    ):
        parts = [unquote(part) for part in path.split("/")[4:]]
        match parts:
            case ["register"]:
                name = orjson.loads(body)["username"]
                user = f"@{name}:stub"
                return {"user_id": user, "access_token": user, "device_id": "D"}
            case ["createRoom"]:
                room_id = f"!{len(self.rooms)}:stub"
                self.rooms[room_id] = Room()
                return self.join(token, room_id)
            case ["join", room_id]:
                return self.join(token, room_id)
            case ["rooms", room_id, "send", kind, txn]:
                known = self.transactions.get((token, txn))
                if known is None:
                    known = self.add(room_id, kind, token, orjson.loads(body))
                    self.transactions[token, txn] = known
                return {"event_id": known}
            case ["rooms", room_id, "messages"]:
                room = self.rooms[room_id]
                end = bisect.bisect_right(room.positions, int(parse_qs(query)["from"][0][1:]))
                chunk = room.events[max(0, end - 100) : end][::-1]
                first = room.positions[end - len(chunk)] if chunk else 0
                return {"chunk": chunk, "end": f"s{first - 1}"} if first > 1 else {"chunk": chunk}
            case ["chat.tidings", "sync"]:
                asked = parse_qs(query)
                limit = json.loads(asked["filter"][0])["room"]["timeline"]["limit"]
                answerer.upgrade()
                self.push(token, answerer, int(asked["since"][0][1:]), limit)
                return None
            case ["sync"]:
                asked = parse_qs(query)
                since = int(asked["since"][0][1:]) if "since" in asked else 0
                limit = json.loads(asked["filter"][0])["room"]["timeline"]["limit"]
                answer = self.sync(token, since, limit)
                if "rooms" in answer or asked["timeout"][0] == "0":
                    return answer
                self.waiting[token] = (answerer, since, limit)
                return None
        return {"errcode": "M_UNRECOGNIZED"}

    def join(self, user: str, room_id: str) -> dict:
        self.rooms[room_id].members.add(user)
        self.of_user.setdefault(user, []).append(room_id)
        self.add(room_id, "m.room.member", user, {"membership": "join"})
        return {"room_id": room_id}


class Answerer(asyncio.Protocol):
    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.parser = httptools.HttpRequestParser(self)
        self.body, self.token, self.key = b"", "", b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.key:
            return  # the stub does not listen to what a client says over its WebSocket
        with contextlib.suppress(httptools.HttpParserUpgrade):
            self.parser.feed_data(data)

    def upgrade(self) -> None:
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )

    def frame(self, data: dict) -> None:
        """One answer, as two fragments with a ping between them."""
        body = orjson.dumps(data)
        cut = min(100, len(body) // 2)
        rest = len(body) - cut
        size = bytes((rest,)) if rest < 126 else b"\x7e" + rest.to_bytes(2, "big")
        if rest > 65535:
            size = b"\x7f" + rest.to_bytes(8, "big")
        self.transport.write(b"\x01%c" % cut + body[:cut] + b"\x89\x02hi")
        self.transport.write(b"\x80" + size + body[cut:])

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"Authorization":
            self.token = value.decode().removeprefix("Bearer ")
        elif name == b"Sec-WebSocket-Key":
            self.key = value

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk

    def on_message_complete(self) -> None:
        path, _, query = self.url.decode().partition("?")
        body, self.body = self.body, b""
        answer = self.stub.handle(
            self, self.parser.get_method().decode(), path, query, self.token, body
        )
        if answer is not None:
            self.answer(404 if "errcode" in answer else 200, answer)

    def answer(self, status: int, data: dict) -> None:
        body = orjson.dumps(data)
        self.transport.write(
            b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
        )


def serve(fault: str, port: int) -> None:
    async def main() -> None:
        stub = Stub(fault)
        server = await asyncio.get_running_loop().create_server(
            lambda: Answerer(stub), "127.0.0.1", port, backlog=2048
        )
        await server.serve_forever()

    uvloop.run(main())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--duration", type=float, default=3)
    parser.add_argument("--port", type=int, default=18500)
    options = parser.parse_args()
    good = True
    # One sender where events change places: order is promised for each sender's messages.
    jobs = [(fault, "deliver", 1 if fault == "swap" else 2, 20) for fault in FAULTS]
    jobs = [(*job, "poll") for job in jobs] + [(*job, "websocket") for job in jobs]
    jobs += [("none", "deliver", 50, 1, kind) for kind in ("poll", "websocket")]  # gaps to fill
    jobs += [("none", "send", 10, 20, "poll")]
    for number, (fault, scenario, width, limit, transport) in enumerate(jobs):
        port = options.port + number
        process = multiprocessing.Process(target=serve, args=(fault, port), daemon=True)
        process.start()
        time.sleep(0.7)
        command = [
            sys.executable,
            "-m",
            "matrix_load",
            scenario,
            "--json",
            "--settle",
            "0.5",
            "--base-url",
            f"http://127.0.0.1:{port}",
            "--server-pid",
            str(process.pid),
            "--members",
            str(options.members),
            "--duration",
            str(options.duration),
            "--concurrency",
            str(width),
            "--timeline-limit",
            str(limit),
            "--drain-patience",
            "3",
            "--transport",
            transport,
        ]
        result = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
        process.kill()
        process.join()
        wanted = "ok" if fault == "none" else "FAILED"
        good &= result["verdict"] == wanted
        units = result.get("deliveries", result["messages"])
        print(
            f"{scenario:<8} {transport:<10} fault {fault:<10} verdict {result['verdict']:<7}"
            f"{'as it should' if result['verdict'] == wanted else 'WRONG':<14}"
            f"{units / result['wall_s']:>8.0f} units/s, CPU us each: generator "
            f"{result['generator_cpu_s'] / units * 1e6:.0f}, stub {result['server_cpu_s'] / units * 1e6:.0f}; "
            f"gaps filled {result.get('gaps_filled', 0)}, {result['check']}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
