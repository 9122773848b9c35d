"""A server that is killed in the middle of uploads, and started again on the same data."""

import asyncio
from pathlib import Path

import httpx

from tests.homeserver import Homeserver, ServerProcess

UPLOAD = "/_matrix/media/v3/upload"
V1 = "/_matrix/client/v1/media"
PARTS = "/_matrix/client/unstable/chat.tidings/uploads"
STEP = 8 * 1024 * 1024


async def test_half_an_upload_is_no_media_and_parts_go_on(tmp_path: Path) -> None:
    process = ServerProcess(tmp_path / "data")
    process.start()
    homeserver = Homeserver(process.base_url)
    try:
        alice = await homeserver.user("alice")
        assert alice.login is not None
        token = {"authorization": f"Bearer {alice.login.access_token}"}
        async with httpx.AsyncClient(base_url=process.base_url, headers=token) as http:
            whole = (await http.post(UPLOAD, content=b"whole")).json()["content_uri"]
            created = (await http.post("/_matrix/media/v1/create")).json()["content_uri"]
            path = created.removeprefix("mxc://")
            size = STEP + 3_000_000
            tus = {"tus-resumable": "1.0.0", "upload-length": str(size)}
            begun = await http.post(PARTS, headers=tus)
            where = begun.headers["location"]
            content = bytes(range(256)) * (size // 256) + bytes(size % 256)

            held: list[asyncio.StreamWriter] = []

            async def put(method: str, url: str, headers: dict[str, str], sent: bytes) -> None:
                """Send a part of what was announced, and hold the connection."""
                target = httpx.URL(process.base_url)
                _, writer = await asyncio.open_connection(target.host, target.port)
                held.append(writer)
                lines = {"host": "x", **token, **headers}
                head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
                writer.write(f"{method} {url} HTTP/1.1\r\n{head}\r\n".encode() + sent)
                await writer.drain()

            await put("PUT", f"{UPLOAD}/{path}", {"content-length": str(size)}, content[:-9])
            part = {
                "tus-resumable": "1.0.0", "upload-offset": "0", "content-length": str(size),
                "content-type": "application/offset+octet-stream",
            }  # fmt: skip
            await put("PATCH", where, part, content[:-9])
            await _first_step(http, where)
            process.kill()
            process.start()
            for writer in held:
                writer.close()
            early = await http.get(f"{V1}/download/{path}?timeout_ms=0")
            assert early.json()["errcode"] == "M_NOT_YET_UPLOADED"
            kept = await http.get(f"{V1}/download/{whole.removeprefix('mxc://')}")
            assert kept.content == b"whole"
            offset = await _offset(http, where)
            assert STEP <= offset < size
            last = {**part, "upload-offset": str(offset)}
            del last["content-length"]
            assert (await http.patch(where, headers=last, content=content[offset:])).is_success
            uri = begun.json()["content_uri"].removeprefix("mxc://")
            assert (await http.get(f"{V1}/download/{uri}")).content == content
            assert (await http.put(f"{UPLOAD}/{path}", content=content)).is_success
            assert (await http.get(f"{V1}/download/{path}")).content == content
    finally:
        await homeserver.close()
        process.stop()


async def _first_step(http: httpx.AsyncClient, where: str) -> None:
    """Wait until a part of an upload is noted."""
    for _ in range(200):
        if await _offset(http, where):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nothing of the upload was noted")


async def _offset(http: httpx.AsyncClient, where: str) -> int:
    answer = await http.head(where, headers={"tus-resumable": "1.0.0"})
    return int(answer.headers["upload-offset"])
