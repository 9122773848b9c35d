"""Where the bytes of media are kept: on this machine's disk.

A file is written under a name nobody looks for, made durable, and renamed when it is whole. Its
name holds the hash of its content and a random part: a name is never used twice, so deleting an
unused file cannot hit an upload of the same content that is under way. Which files count is for
the database to say; a file it does not know is swept away after a while.

All of it runs in a few threads of its own: the event loop never waits for the disk.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

THREADS = 4
CHUNK_BYTES = 512 * 1024
"""Read and written at a time: large enough that the way to the thread does not count."""


class StoredFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that is whole and durable."""

    name: str
    sha256: str
    size_bytes: int


class NoFileError(Exception):
    """The file is not there."""


class FileStore:
    """Files below a folder: `kept` ones, and `parts` that are being written."""

    def __init__(self, folder: Path, new_name: Callable[[], str]) -> None:
        self._kept = folder / "kept"
        self._parts = folder / "parts"
        self._new_name = new_name
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="files")

    def close(self) -> None:
        """Finish what the threads are at."""
        self._threads.shutdown()

    async def save(self, chunks: AsyncIterator[bytes]) -> StoredFile:
        """Write a whole file; nothing is left of it when the chunks break off."""
        part = self._new_name()
        path, digest = self._parts / part, hashlib.sha256()
        await self._run(self._make_folder)
        try:
            size = await self._append_chunks(path, chunks, digest.update)
            return await self._run(lambda: self._keep(path, digest.hexdigest(), size))
        except BaseException:
            await self.delete_part(part)
            raise

    async def append(self, part: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """Write on from an offset, over what was written beyond it; the new length, durable.

        Raises NoFileError when so much is not there.
        """
        path = self._parts / part

        def cut() -> None:
            self._make_folder()
            with path.open("ab") as file:
                if file.tell() < offset:
                    raise NoFileError(part)
                file.truncate(offset)

        await self._run(cut)
        try:
            await self._append_chunks(path, chunks, lambda _: None)
        finally:
            size = await self._run(lambda: _synced_size(path))
        return size

    async def finish(self, part: str) -> StoredFile:
        """Keep a part as a whole file; the part stays until it is deleted."""

        def keep() -> StoredFile:
            self._make_folder()
            whole, path = self._parts / part, self._parts / self._new_name()
            whole.touch()
            path.hardlink_to(whole)
            digest, size = hashlib.sha256(), 0
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
            return self._keep(path, digest.hexdigest(), size)

        return await self._run(keep)

    async def part_bytes(self, part: str) -> int:
        """How long a part is; 0 when there is none."""
        path = self._parts / part
        return await self._run(lambda: path.stat().st_size if path.exists() else 0)

    async def delete_part(self, part: str) -> None:
        """Drop what was being written."""
        await self._run(lambda: (self._parts / part).unlink(missing_ok=True))

    async def read(self, name: str, first: int, length: int) -> AsyncGenerator[bytes, None]:
        """A span of a file, piece by piece; raises NoFileError before the first."""
        piece = await self.read_piece(name, first, min(CHUNK_BYTES, length))
        return self._pieces(name, piece, first, length)

    async def read_piece(self, name: str, first: int, length: int) -> bytes:
        """A short span of a file; raises NoFileError."""
        path = self._path_of(name)

        def read() -> bytes:
            with path.open("rb") as file:
                file.seek(first)
                return file.read(length)

        try:
            piece = await self._run(read)
        except FileNotFoundError as error:
            raise NoFileError(name) from error
        if len(piece) < length:
            raise NoFileError(f"{name} is shorter than it was")
        return piece

    async def _pieces(
        self, name: str, piece: bytes, first: int, length: int
    ) -> AsyncGenerator[bytes, None]:
        # The file is opened for each piece: nothing is left open when a client goes away.
        while True:
            first, length = first + len(piece), length - len(piece)
            yield piece
            if length <= 0:
                return
            piece = await self.read_piece(name, first, min(CHUNK_BYTES, length))

    async def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        await self._run(lambda: self._path_of(name).unlink(missing_ok=True))

    async def merge(self, name: str, into: str) -> None:
        """Remove a file for another like it; if that one is lost, this takes its place."""
        ours, other = self._path_of(name), self._path_of(into)
        await self._run(lambda: ours.unlink() if other.exists() else _moved(ours, other))

    async def names_before(self, time_ms: int) -> list[str]:
        """The kept files that were written before a time."""
        return await self._run(lambda: list(_older(self._kept, time_ms)))

    async def parts_before(self, time_ms: int) -> list[str]:
        """The parts that were last written to before a time."""
        return await self._run(lambda: list(_older(self._parts, time_ms)))

    def _make_folder(self) -> None:
        self._parts.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _path_of(self, name: str) -> Path:
        return self._kept / name[:2] / name

    def _keep(self, part: Path, sha256: str, size: int) -> StoredFile:
        name = f"{sha256}.{self._new_name()}"
        path = self._path_of(name)
        if not path.parent.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sync_folder(self._kept)
        _synced_size(part)
        part.rename(path)
        _sync_folder(path.parent)
        return StoredFile(name, sha256, size)

    async def _append_chunks(
        self, path: Path, chunks: AsyncIterator[bytes], also: Callable[[bytes], None]
    ) -> int:
        size, buffer = 0, bytearray()
        file = await self._run(lambda: path.open("ab"))

        def write(data: bytes) -> None:
            file.write(data)
            also(data)

        try:
            async for chunk in chunks:
                buffer += chunk
                if len(buffer) >= CHUNK_BYTES:
                    full, buffer = bytes(buffer), bytearray()
                    size += len(full)
                    await self._run(partial(write, full))
        finally:  # what came before a client went away is kept for when it resumes
            size += len(buffer)
            await self._run(partial(write, bytes(buffer)))
            await self._run(file.close)
        return size

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _synced_size(path: Path) -> int:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _moved(path: Path, to: Path) -> None:
    path.rename(to)
    _sync_folder(to.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _older(folder: Path, time_ms: int) -> Iterator[str]:
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.stat().st_mtime_ns // 1_000_000 < time_ms:
                yield path.name
        except FileNotFoundError:  # gone meanwhile
            continue
