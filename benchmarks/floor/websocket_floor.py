"""Broadcast a 400-byte message to N WebSocket connections: messages/s and CPU a delivery.

The server runs in its own process; the clients are bare asyncio protocols that count
bytes, all in this process, so that they cost little. The next message goes out when the
clients have told the server (through a pipe) that all of them have the last one.

python websocket_floor.py [--connections 500] [--seconds 5] [--runs 3]
"""

import argparse
import asyncio
import base64
import multiprocessing
import os
import statistics
import time

import uvloop

PAYLOAD = b"x" * 400
FRAME = 4 + len(PAYLOAD)  # a server's frame with a 16-bit length


def serve(kind: str, port: int, pipe) -> None:
    uvloop.run(
        {"picows": picows_server, "websockets": websockets_server, "raw": raw_server}[kind](
            port, pipe
        )
    )


async def broadcasts(pipe, connections, broadcast) -> None:
    """Wait for the word to send, send to all, until told to stop."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(pipe.fileno(), ready.set)
    while True:
        await ready.wait()
        ready.clear()
        word = pipe.recv()
        if word == "count":
            pipe.send(len(connections))
        elif word == "cpu":
            pipe.send(time.process_time())
        elif word == "stop":
            return
        else:
            broadcast()


async def picows_server(port, pipe):
    from picows import WSListener, WSMsgType, ws_create_server

    connections = set()

    class Listener(WSListener):
        def on_ws_connected(self, transport):
            connections.add(transport)

    def broadcast():
        for transport in connections:
            transport.send(WSMsgType.BINARY, PAYLOAD)

    server = await ws_create_server(lambda request: Listener(), "127.0.0.1", port)
    async with server:
        await broadcasts(pipe, connections, broadcast)


async def websockets_server(port, pipe):
    from websockets.asyncio.server import broadcast as send_all
    from websockets.asyncio.server import serve as ws_serve

    connections = set()

    async def handler(connection):
        connections.add(connection)
        await connection.wait_closed()

    async with ws_serve(handler, "127.0.0.1", port, compression=None):
        await broadcasts(pipe, connections, lambda: send_all(connections, PAYLOAD))


async def raw_server(port, pipe):
    """No WebSocket library: the frame is made once and written to every transport."""
    import hashlib
    import struct

    connections = set()
    frame = b"\x82\x7e" + struct.pack("!H", len(PAYLOAD)) + PAYLOAD

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport, self.head = transport, b""

        def data_received(self, data):
            self.head += data
            if self in connections or b"\r\n\r\n" not in self.head:
                return
            key = self.head.lower().split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
            accept = base64.b64encode(hashlib.sha1(key).digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            connections.add(self)

    def broadcast():
        for protocol in connections:
            protocol.transport.write(frame)

    loop = asyncio.get_running_loop()
    async with await loop.create_server(Protocol, "127.0.0.1", port):
        await broadcasts(pipe, connections, broadcast)


class Client(asyncio.Protocol):
    def __init__(self, tally):
        self.tally, self.open = tally, False

    def connection_made(self, transport):
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            (
                "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )

    def data_received(self, data):
        if not self.open:
            _head, found, data = data.partition(b"\r\n\r\n")
            self.open = bool(found)
            if not data:
                return
        self.tally.add(len(data))


class Tally:
    def __init__(self):
        self.bytes = self.goal = 0
        self.reached = asyncio.Event()

    def add(self, count):
        self.bytes += count
        if self.bytes >= self.goal:
            self.reached.set()


async def drive(port: int, pipe, connections: int, seconds: float) -> tuple[float, float, float]:
    loop = asyncio.get_running_loop()
    tally = Tally()
    for _ in range(200):
        try:
            (await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))[0].abort()
            break
        except OSError:
            await asyncio.sleep(0.05)
    clients = [
        (await loop.create_connection(lambda: Client(tally), "127.0.0.1", port))[0]
        for _ in range(connections)
    ]
    while True:
        pipe.send("count")
        if pipe.recv() >= connections:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    tally.bytes = 0
    pipe.send("cpu")
    before, mine = pipe.recv(), time.process_time()
    begun, sent = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        tally.goal += FRAME * connections
        tally.reached.clear()
        pipe.send("go")
        sent += 1
        await tally.reached.wait()
    took = time.perf_counter() - begun
    pipe.send("cpu")
    spent, mine = pipe.recv() - before, time.process_time() - mine
    assert tally.bytes == tally.goal, "bytes lost or duplicated"
    for transport in clients:
        transport.abort()
    pipe.send("stop")
    return sent / took, spent / (sent * connections) * 1e6, mine / (sent * connections) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    port = 18400
    results = {"raw": [], "picows": [], "websockets": []}
    for _ in range(options.runs):
        for kind, measured in results.items():
            port += 1
            here, there = multiprocessing.Pipe()
            process = multiprocessing.Process(target=serve, args=(kind, port, there))
            process.start()
            measured.append(uvloop.run(drive(port, here, options.connections, options.seconds)))
            process.join(5)
            if process.is_alive():
                process.kill()
    print(
        f"{'server':<14}{'messages/s':>12}{'(least-most)':>18}{'deliveries/s':>14}{'CPU us each':>13}{'client us':>11}"
    )
    for kind, runs in results.items():
        rate, cpu, mine = zip(*runs)
        middle = statistics.median(rate)
        print(
            f"{kind:<14}{middle:>12.0f}{f'({min(rate):.0f}-{max(rate):.0f})':>18}"
            f"{middle * options.connections:>14.0f}{statistics.median(cpu):>13.2f}{statistics.median(mine):>11.2f}"
        )


if __name__ == "__main__":
    main()
