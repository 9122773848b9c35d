"""One 400-byte WebSocket message to N connections through each HTTP stack: server CPU a delivery.

Clients are bare protocols that count bytes; the next broadcast goes out when all have the last one.

python push_floor.py [--connections 500] [--seconds 5] [--runs 3]
"""

import argparse
import asyncio
import base64
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import uvloop

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from matrix_load.accounting import ProcessTree  # noqa: E402

PY = sys.executable
UVICORN = [PY, "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log",
           "--lifespan", "off", "--log-level", "error", "--ws-per-message-deflate", "false",
           "--port", "{port}", "--ws"]  # fmt: skip
GRANIAN = [str(Path(PY).parent / "granian"), "--loop", "uvloop", "--ws", "--log-level", "error",
           "--workers", "1", "--port", "{port}", "--interface"]  # fmt: skip
SERVERS = {
    "uvicorn, our frames on the transport": [PY, "push_apps.py", "{port}"],
    "uvicorn websockets-sansio, ASGI send": [*UVICORN, "websockets-sansio", "push_apps:asgi"],
    "granian, ASGI send": [*GRANIAN, "asginl", "push_apps:asgi"],
    "granian, RSGI send_str": [*GRANIAN, "rsgi", "push_apps:rsgi"],
}
FRAME = 4 + 400


class Client(asyncio.Protocol):
    def __init__(self, tally):
        self.tally, self.open, self.head = tally, False, b""

    def connection_made(self, transport):
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data):
        if not self.open:
            self.head += data
            _, found, data = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            self.open = True
            self.tally.opened += 1
        if data:
            self.tally.add(len(data))


class Tally:
    def __init__(self):
        self.opened = self.bytes = self.goal = 0
        self.reached = asyncio.Event()

    def add(self, count):
        self.bytes += count
        if self.bytes >= self.goal:
            self.reached.set()


async def drive(port, pid, connections, seconds):
    loop = asyncio.get_running_loop()
    for _ in range(200):
        try:
            (await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))[0].abort()
            break
        except OSError:
            await asyncio.sleep(0.05)
    tally = Tally()
    clients = [
        (await loop.create_connection(lambda: Client(tally), "127.0.0.1", port))[0]
        for _ in range(connections)
    ]
    while tally.opened < connections:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    tree = ProcessTree([pid])
    before, mine = tree.cpu_seconds(), time.process_time()
    begun, sent = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        tally.goal += FRAME * connections
        tally.reached.clear()
        writer.write(b"GET /go HTTP/1.1\r\nHost: x\r\n\r\n")
        sent += 1
        await tally.reached.wait()
        await reader.readuntil(b"\r\n\r\n")
    took = time.perf_counter() - begun
    spent, mine = tree.cpu_seconds() - before, time.process_time() - mine
    if tally.bytes != tally.goal:
        raise RuntimeError("bytes lost or duplicated")
    for transport in clients:
        transport.abort()
    writer.close()
    return (
        sent * connections / took,
        spent / (sent * connections) * 1e6,
        mine / (sent * connections) * 1e6,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    port = 18600
    results = {name: [] for name in SERVERS}
    for _ in range(options.runs):
        for name, command in SERVERS.items():
            port += 1
            server = subprocess.Popen(
                [part.format(port=port) for part in command], cwd=HERE, stdout=subprocess.DEVNULL
            )
            try:
                results[name].append(
                    uvloop.run(drive(port, server.pid, options.connections, options.seconds))
                )
            finally:
                server.terminate()
                try:
                    server.wait(5)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()
    print(f"{'server':<40}{'deliveries/s':>14}{'CPU us each':>13}{'client us':>11}")
    for name, runs in results.items():
        rate, cpu, mine = zip(*runs)
        middle = [statistics.median(column) for column in (rate, cpu, mine)]
        print(f"{name:<40}{middle[0]:>14.0f}{middle[1]:>13.2f}{middle[2]:>11.2f}")


if __name__ == "__main__":
    main()
