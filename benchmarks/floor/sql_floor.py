"""One insert and one select of a 500-byte row, in an open transaction: client CPU of each way.

The drivers by themselves, SQLAlchemy Core's expressions, and SQLAlchemy's text().

python sql_floor.py [--postgres DSN] [--rows 3000] [--runs 3]
"""

import argparse
import sqlite3
import statistics
import time

import asyncpg
import sqlalchemy as sa
import uvloop
from sqlalchemy.ext.asyncio import create_async_engine

BODY = b"x" * 480
COLUMNS = ("position", "event_id", "room_id", "sender", "json")
CREATE = """CREATE TABLE floor_events (position BIGINT PRIMARY KEY, event_id TEXT,
    room_id TEXT, sender TEXT, json {blob})"""
DROP = "DROP TABLE IF EXISTS floor_events"
INSERT = f"INSERT INTO floor_events ({', '.join(COLUMNS)}) VALUES (%s)"
SELECT = f"SELECT {', '.join(COLUMNS)} FROM floor_events WHERE position = "
TABLE = sa.Table(
    "floor_events",
    sa.MetaData(),
    sa.Column("position", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.Text) for name in COLUMNS[1:4]),
    sa.Column("json", sa.LargeBinary),
)
NAMED_INSERT = sa.text(INSERT % ", ".join(f":{name}" for name in COLUMNS))
NAMED_SELECT = sa.text(f"{SELECT}:position")


def row(number: int) -> tuple:
    return (number, "$event", "!room:example.org", "@user:example.org", BODY)


def named(number: int) -> dict:
    return dict(zip(COLUMNS, row(number)))


class Stopwatch:
    """CPU of this process between laps, in µs a row."""

    def __init__(self, rows: int) -> None:
        self.rows, self.laps, self.at = rows, [], time.process_time()

    def lap(self) -> None:
        now = time.process_time()
        self.laps.append((now - self.at) / self.rows * 1e6)
        self.at = now


def with_sqlite3(rows: int) -> list[float]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(CREATE.format(blob="BLOB"))
    db.execute("BEGIN")
    insert, select = INSERT % "?, ?, ?, ?, ?", f"{SELECT}?"
    watch = Stopwatch(rows)
    for number in range(rows):
        db.execute(insert, row(number))
    watch.lap()
    for number in range(rows):
        db.execute(select, (number,)).fetchone()
    watch.lap()
    db.close()
    return watch.laps


def with_sqlalchemy(insert, select):
    def job(rows: int) -> list[float]:
        with sa.create_engine("sqlite://").connect() as db:
            db.execute(sa.text(CREATE.format(blob="BLOB")))
            watch = Stopwatch(rows)
            for number in range(rows):
                db.execute(insert(), named(number))
            watch.lap()
            for number in range(rows):
                db.execute(*select(number)).fetchone()
            watch.lap()
            return watch.laps

    return job


def with_asyncpg(dsn: str):
    async def job(rows: int) -> list[float]:
        db = await asyncpg.connect(dsn)
        await db.execute(DROP)
        await db.execute(CREATE.format(blob="BYTEA"))
        insert, select = INSERT % "$1, $2, $3, $4, $5", f"{SELECT}$1"
        async with db.transaction():
            watch = Stopwatch(rows)
            for number in range(rows):
                await db.execute(insert, *row(number))
            watch.lap()
            for number in range(rows):
                await db.fetchrow(select, number)
            watch.lap()
        await db.execute(DROP)
        await db.close()
        return watch.laps

    return lambda rows: uvloop.run(job(rows))


def with_sqlalchemy_on_asyncpg(dsn: str):
    async def job(rows: int) -> list[float]:
        engine = create_async_engine(dsn.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as db:
            await db.execute(sa.text(DROP))
            await db.execute(sa.text(CREATE.format(blob="BYTEA")))
            watch = Stopwatch(rows)
            for number in range(rows):
                await db.execute(sa.insert(TABLE), named(number))
            watch.lap()
            for number in range(rows):
                (await db.execute(core_select(number)[0])).fetchone()
            watch.lap()
            await db.rollback()
        await engine.dispose()
        return watch.laps

    return lambda rows: uvloop.run(job(rows))


def core_select(number: int) -> tuple:
    return (sa.select(TABLE).where(TABLE.c.position == number),)


def text_select(number: int) -> tuple:
    return (NAMED_SELECT, {"position": number})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    jobs = {
        "sqlite3": with_sqlite3,
        "SQLAlchemy text() on sqlite3": with_sqlalchemy(lambda: NAMED_INSERT, text_select),
        "SQLAlchemy Core on sqlite3": with_sqlalchemy(lambda: sa.insert(TABLE), core_select),
    }
    if options.postgres:
        jobs["asyncpg"] = with_asyncpg(options.postgres)
        jobs["SQLAlchemy Core on asyncpg"] = with_sqlalchemy_on_asyncpg(options.postgres)
    results = {name: [] for name in jobs}
    for _ in range(options.runs):
        for name, job in jobs.items():
            results[name].append(job(options.rows))
    print(f"{'way':<36}{'insert µs':>12}{'select µs':>12}")
    for name, runs in results.items():
        print(f"{name:<36}" + "".join(f"{statistics.median(lap):>12.1f}" for lap in zip(*runs)))


if __name__ == "__main__":
    main()
