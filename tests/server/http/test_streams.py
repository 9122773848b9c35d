"""Long bodies over a real connection."""

import asyncio
import json
import socket
from collections.abc import Iterator

import httpx

from tests.homeserver import Homeserver
from tidings.client.http import Http

UPLOAD = "/_matrix/media/v3/upload"
V1 = "/_matrix/client/v1/media"


def bearer(alice: Http) -> dict[str, str]:
    assert alice.login is not None
    return {"authorization": f"Bearer {alice.login.access_token}"}


async def test_a_client_can_read_that_its_upload_is_too_large(server: Homeserver) -> None:
    # It sends everything before it reads; a connection closed early would hide the answer.
    headers = bearer(await server.user("alice"))
    async with httpx.AsyncClient(base_url=server.base_url, headers=headers) as http:
        most = (await http.get(f"{V1}/config")).json()["m.upload.size"]

        def pieces() -> Iterator[bytes]:
            for _ in range(most // 1_000_000 + 2):
                yield bytes(1_000_000)

        async def undeclared() -> object:
            for piece in pieces():
                yield piece

        declared = httpx.Headers({"content-length": str((most // 1_000_000 + 2) * 1_000_000)})
        for extra in (declared, httpx.Headers()):
            answer = await http.post(UPLOAD, content=undeclared(), headers=extra)  # type: ignore[arg-type]
            assert answer.status_code == 413, answer.text
            assert answer.json()["errcode"] == "M_TOO_LARGE"
        assert (await http.get(f"{V1}/config")).status_code == 200


async def test_whoever_asks_first_is_told_no_and_the_connection_ends(server: Homeserver) -> None:
    alice = await server.user("alice")
    url = httpx.URL(server.base_url)
    head = (
        f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer(alice)['authorization']}\r\n"
        "Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head.encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errcode"] == "M_TOO_LARGE"


async def test_a_download_goes_at_the_clients_pace(server: Homeserver) -> None:
    alice = await server.user("alice")
    content = bytes(range(256)) * 40_000
    async with httpx.AsyncClient(base_url=server.base_url, headers=bearer(alice)) as http:
        sent = await http.post(UPLOAD, content=content)
        path = sent.json()["content_uri"].removeprefix("mxc://")
        sock = socket.create_connection((httpx.URL(server.base_url).host, http.base_url.port or 0))
        with sock:
            sock.sendall(
                f"GET {V1}/download/{path} HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: {bearer(alice)['authorization']}\r\n\r\n".encode()
            )
            await asyncio.sleep(0.2)  # reads nothing meanwhile; others are served
            whole = (await http.get(f"{V1}/download/{path}")).content
            assert whole == content
            received = await asyncio.to_thread(_drain, sock, len(content))
        assert received.endswith(content)


def _drain(sock: socket.socket, length: int) -> bytes:
    sock.settimeout(10)
    received = bytearray()
    while len(received) < length or b"\r\n\r\n" not in received[:10_000]:
        received += sock.recv(1 << 20)
    head = received.index(b"\r\n\r\n") + 4
    while len(received) < head + length:
        received += sock.recv(1 << 20)
    return bytes(received)
