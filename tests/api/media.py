"""What people do with media, as tests say it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.api.server import ApiServer, Person

UPLOAD = "/_matrix/media/v3/upload"
V1 = "/_matrix/client/v1/media"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8"
    "cfc0f01f0005000201a6d5f6e50000000049454e44ae426082"
)


def bearer(person: Person, **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {person.token}", **headers}


async def send_bytes(
    person: Person,
    content: bytes | AsyncIterator[bytes],
    kind: str | None = "image/png",
    name: str | None = None,
    path: str = UPLOAD,
) -> httpx.Response:
    headers = {} if kind is None else {"content-type": kind}
    query = {} if name is None else {"filename": name}
    method = "POST" if path == UPLOAD else "PUT"
    return await person.http.request(
        method, path, content=content, params=query, headers=bearer(person, **headers)
    )


async def uploaded(person: Person, content: bytes, kind: str = "image/png", name: str = "") -> str:
    """The path of something that was uploaded: server/id."""
    answer = await send_bytes(person, content, kind, name or None)
    assert answer.status_code == 200, answer.text
    uri: str = answer.json()["content_uri"]
    return uri.removeprefix("mxc://")


async def fetched(
    person: Person, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> httpx.Response:
    whole = path if path.startswith("/_matrix") else f"{V1}/download/{path}"
    return await person.http.request(method, whole, headers={**bearer(person), **(headers or {})})


def files_of(server: ApiServer) -> list[Path]:
    """Every file the server keeps for media."""
    folder = Path(server.server.config.data_dir) / "media"
    return sorted(path for path in folder.rglob("*") if path.is_file())


class Wire:
    """One request below HTTP: the test says what arrives, and when the client goes away."""

    def __init__(self, person: Person, method: str, path: str, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.sent: list[dict[str, Any]] = []
        self.reads = 0
        self.scope: dict[str, Any] = {
            "type": "http", "method": method, "raw_path": path.encode(), "query_string": b"",
            "headers": [(b"authorization", f"Bearer {person.token}".encode())],
            "client": ("127.0.0.1", 1),
        }  # fmt: skip

    async def receive(self) -> dict[str, Any]:
        self.reads += 1
        if self.chunks:
            return {"type": "http.request", "body": self.chunks.pop(0), "more_body": True}
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
