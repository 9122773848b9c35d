"""Insert rates: SQLite (WAL, stdlib sqlite3, in a thread) and PostgreSQL (asyncpg).

A row is an event of about 500 bytes with the indexes a timeline needs. One
transaction a row, against transactions of 50 rows.

python store_floor.py --folder SCRATCH [--postgres DSN] [--seconds 3] [--runs 3]
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BODY = b'{"content":{"body":"' + b"x" * 400 + b'","msgtype":"m.text"},"type":"m.room.message"}'
TABLE = """CREATE TABLE events (
    stream {serial} PRIMARY KEY, event_id TEXT UNIQUE, room_id TEXT, sender TEXT, json {blob});
    CREATE INDEX events_room ON events (room_id, stream);"""


def rows(count: int) -> list[tuple]:
    return [
        ("$" + os.urandom(16).hex(), f"!room{i % 50}:localhost", f"@user{i % 20}:localhost", BODY)
        for i in range(count)
    ]


def sqlite_rate(folder: Path, synchronous: str, group: int, seconds: float) -> float:
    """Rows/s of an event loop that hands each transaction to one writer thread and awaits it."""
    path = folder / f"floor-{synchronous}-{group}-{os.getpid()}.db"
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA synchronous={synchronous}")
    db.executescript(TABLE.format(serial="INTEGER", blob="BLOB"))

    def write(batch: list[tuple]) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO events (event_id, room_id, sender, json) VALUES (?,?,?,?)", batch
        )
        db.execute("COMMIT")

    async def main() -> float:
        loop = asyncio.get_running_loop()
        written, begun = 0, time.perf_counter()
        with ThreadPoolExecutor(1) as pool:
            while time.perf_counter() - begun < seconds:
                await loop.run_in_executor(pool, write, rows(group))
                written += group
        return written / (time.perf_counter() - begun)

    try:
        return asyncio.run(main())
    finally:
        db.close()
        for file in folder.glob(f"{path.name}*"):
            file.unlink()


async def postgres_rate(
    dsn: str, synchronous: str, group: int, width: int, seconds: float
) -> float:
    import asyncpg

    pool = await asyncpg.create_pool(
        dsn, min_size=width, max_size=width, server_settings={"synchronous_commit": synchronous}
    )
    async with pool.acquire() as db:
        await db.execute("DROP TABLE IF EXISTS events")
        await db.execute(TABLE.format(serial="BIGSERIAL", blob="BYTEA"))
    insert = "INSERT INTO events (event_id, room_id, sender, json) VALUES ($1,$2,$3,$4)"
    many = (
        "INSERT INTO events (event_id, room_id, sender, json) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])"
    )
    written, begun = 0, time.perf_counter()

    async def work() -> None:
        nonlocal written
        async with pool.acquire() as db:
            while time.perf_counter() - begun < seconds:
                batch = rows(group)
                if group == 1:
                    await db.execute(insert, *batch[0])
                else:
                    await db.execute(many, *map(list, zip(*batch)))
                written += group

    await asyncio.gather(*(work() for _ in range(width)))
    rate = written / (time.perf_counter() - begun)
    await pool.execute("DROP TABLE events")
    await pool.close()
    return rate


def fsync_ms(folder: Path) -> float:
    path = folder / f"floor-fsync-{os.getpid()}"
    took = []
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            file.flush()
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    path.unlink()
    return statistics.median(took) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--postgres")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"fdatasync of 4 kB: {fsync_ms(options.folder):.3f} ms (median)")
    jobs = {}
    for synchronous in ("NORMAL", "FULL"):
        for group in (1, 50):
            jobs[f"SQLite WAL {synchronous}, {group} a transaction"] = (
                lambda s=synchronous, g=group: sqlite_rate(options.folder, s, g, options.seconds)
            )
    if options.postgres:
        for synchronous in ("on", "off"):
            for group, width in ((1, 1), (1, 8), (50, 1)):
                jobs[
                    f"PostgreSQL commit={synchronous}, {group} a transaction, {width} connections"
                ] = lambda s=synchronous, g=group, w=width: asyncio.run(
                    postgres_rate(options.postgres, s, g, w, options.seconds)
                )
    results: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.runs):
        for name, job in jobs.items():
            results[name].append(job())
    print(f"{'store':<58}{'rows/s':>10}{'(least-most)':>18}")
    for name, rates in results.items():
        print(
            f"{name:<58}{statistics.median(rates):>10.0f}{f'({min(rates):.0f}-{max(rates):.0f})':>18}"
        )


if __name__ == "__main__":
    main()
