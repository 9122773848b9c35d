"""How large the full-text index of a million messages is, and how long searches take.

    python benchmarks/search.py [--messages N] sqlite:///PATH|postgresql://…

The messages are made up: English prose by the frequencies of words, code and identifiers,
Chinese; in 1,000 rooms of very different size. They are written to the events table as the
server would, indexed by the server's own indexer, and searched for through the service that
answers POST /search, by somebody in every room, in 300, and in one.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import time
from itertools import accumulate
from pathlib import Path

ROOMS, PEOPLE = 1_000, 300
SYLLABLES = "ba be bi bo da de di do fa fe ga ge ka ke ki ko la le li lo ma me mi mo na ne no pa pe po ra re ri ro sa se so ta te ti to va ve wa we".split()  # noqa: SIM905 - a list of words reads as words
COMMON = "the to a I and is it in of that for on you we this be have not with can are do but was if so at as just from or they will there what my all get think when about one an now how has work like would should".split()  # noqa: SIM905 - the same
TECH = "server deploy release branch merge test build fail error log database index query token room message client session user cache thread timeout request response config docker release pipeline review issue ticket".split()  # noqa: SIM905 - the same
HAN = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
# A word between very common and rare is put into so many of a hundred thousand messages.
PLANTED = {
    "zanzibar": 1,
    "quokka": 30,
    "rollback": 3_000,
    "PLT-4711": 2,
    "src/app/main_loop.py": 20,
    "parseHttpHeader": 15,
    "熊猫": 25,
    "数据库": 400,
}


def word(rng):
    return "".join(rng.choices(SYLLABLES, k=rng.choice((2, 2, 3, 3, 4))))


class Corpus:
    def __init__(self, seed=1):
        self.rng = rng = random.Random(seed)
        vocabulary = [word(rng) for _ in range(60_000)]
        self.words = COMMON + TECH + vocabulary
        self.weights = [1 / (rank + 3) for rank in range(len(self.words))]
        self.cum = list(accumulate(self.weights))
        self.han = [a + b for a, b in zip(rng.choices(HAN, k=4000), rng.choices(HAN, k=4000))]
        self.han_cum = list(accumulate(1 / (r + 5) for r in range(4000)))
        self.rooms = [f"!room{n}:bench" for n in range(ROOMS)]
        self.room_cum = list(accumulate(1 / (r + 10) for r in range(ROOMS)))

    def prose(self):
        count = max(2, int(self.rng.lognormvariate(2.3, 0.7)))
        return " ".join(self.rng.choices(self.words, cum_weights=self.cum, k=min(count, 120)))

    def chinese(self):
        count = max(2, int(self.rng.lognormvariate(2.0, 0.6)))
        return "".join(self.rng.choices(self.han, cum_weights=self.han_cum, k=count)) + "。"

    def code(self):
        a, b, c = (self.rng.choice(TECH + self.words[100:3000]) for _ in range(3))
        n = self.rng.randrange(9999)
        return self.rng.choice(
            (
                f"{a}_{b}({c}={n})",
                f"src/{a}/{b}.py:{n} raises {c.title()}Error",
                f"{a}{b.title()}{c.title()}() in PR-{n}",
                f"https://git.example.org/{a}/{b}/-/issues/{n}",
                f"10.0.{n % 256}.{n % 199} {a}-{b} exited {n % 3}",
            )
        )

    def body(self):
        kind = self.rng.random()
        text = (
            self.prose()
            if kind < 0.6
            else self.chinese()
            if kind < 0.8
            else f"{self.prose()} {self.code()}"
        )
        for planted, per_100k in PLANTED.items():
            if self.rng.random() < per_100k / 100_000:
                text += ("" if planted > "～" else " ") + planted
        return text

    def room(self):
        return self.rng.choices(self.rooms, cum_weights=self.room_cum, k=1)[0]


async def populate(url, messages, corpus):
    """Accounts, rooms and members by the service; messages as rows, as the server writes them."""
    from tidings.server.app import build
    from tidings.server.config import load_config

    config = load_config(
        None,
        {},
        {"database": url, "data_dir": "/tmp/bench-search-data", "rate_limits": {"enabled": False}},
    )
    server = await build(config)
    event = '{"content":{"body":%s,"msgtype":"m.text"},"event_id":"%s","origin_server_ts":%d,"sender":"%s","type":"m.room.message"}'
    sql = "INSERT INTO events (position, event_id, room_id, depth, type, state_key, sender, origin_server_ts, json, pdu, loud, is_loud) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
    now = time.time_ns() // 1_000_000
    rng = corpus.rng

    async def rooms(tx):
        for room_id in corpus.rooms:
            await tx.execute(
                "INSERT INTO rooms (room_id, version, creator, created_ts) VALUES (?,?,?,?)",
                room_id,
                "11",
                "@u0:bench",
                now,
            )
            for depth, (type_, key, content) in enumerate(
                (
                    ("m.room.create", "", {"room_version": "11"}),
                    ("m.room.member", "@u0:bench", {"membership": "join"}),
                    ("m.room.member", "@some:bench", {"membership": "join"}),
                    ("m.room.member", "@one:bench", {"membership": "join"}),
                )
            ):
                number = int(room_id[5:].split(":")[0])
                if (key == "@some:bench" and number % 3) or (key == "@one:bench" and number != 7):
                    continue
                position = tx.next_position()
                event_id = f"$s{position}"
                text = json.dumps(
                    {
                        "content": content,
                        "event_id": event_id,
                        "origin_server_ts": now,
                        "sender": "@u0:bench",
                        "state_key": key,
                        "type": type_,
                    }
                )
                await tx.execute(
                    sql,
                    position,
                    event_id,
                    room_id,
                    depth,
                    type_,
                    key,
                    "@u0:bench",
                    now,
                    text.encode(),
                    b"{}",
                    0,
                    0,
                )
                await tx.execute(
                    "INSERT INTO state (room_id, type, state_key, position) VALUES (?,?,?,?)",
                    room_id,
                    type_,
                    key,
                    position,
                )
                if key:
                    await tx.execute(
                        "INSERT INTO members (user_id, room_id, membership, position, entered) VALUES (?,?,?,?,?)",
                        key,
                        room_id,
                        "join",
                        position,
                        position,
                    )

    await server.db.write(rooms)
    step = 2_000
    for start in range(0, messages, step):

        async def some(tx, start=start):
            rows = []
            for n in range(start, min(start + step, messages)):
                position = tx.next_position()
                sender, ts = f"@u{rng.randrange(PEOPLE)}:bench", now - (messages - n) * 5_000
                text = event % (
                    json.dumps(corpus.body(), ensure_ascii=False),
                    f"$m{position}",
                    ts,
                    sender,
                )
                rows.append(
                    (
                        position,
                        f"$m{position}",
                        corpus.room(),
                        10 + n,
                        "m.room.message",
                        None,
                        sender,
                        ts,
                        text.encode(),
                        b"{}",
                        0,
                        0,
                    )
                )
            await tx.execute_many(sql, rows)

        await server.db.write(some)
        await asyncio.sleep(0)
    return server


QUERIES = (
    "the",
    "zanzibar",
    "quokka",
    "rollback",
    "the server",
    "server build failed",
    "PLT-4711",
    "src/app/main_loop.py",
    "http header",
    "parseHttpHeader",
    "熊猫",
    "数据库",
    "的",
    '"the server"',
    "serv*",
    "the to a and is in",
    "nosuchword",
)


async def measure(server, searcher, runs):
    from tidings.protocol.ids import DeviceId, UserId
    from tidings.rules.paging import END
    from tidings.rules.presentation import View
    from tidings.rules.search_documents import TYPES
    from tidings.server.services.search_request import Around, Mark, SearchRequest

    rows = []
    now = time.time_ns() // 1_000_000
    for term in QUERIES:
        for order in ("rank", "recent"):
            request = SearchRequest(
                user_id=UserId(searcher),
                search_term=term,
                types=frozenset(TYPES),
                limit=10,
                order_by=order,
                around=Around(1, 1, True),
                mark=Mark(END, now),
            )
            took, cpu = [], []
            for _ in range(runs):
                begun, used = time.perf_counter(), time.process_time()
                answer = json.loads(
                    await server.search_results.answer(
                        View(UserId(searcher), DeviceId("D"), now), request
                    )
                )
                took.append((time.perf_counter() - begun) * 1000)
                cpu.append((time.process_time() - used) * 1000)
            rows.append(
                (
                    term,
                    order,
                    len(answer["results"]),
                    answer["count"],
                    took[0],
                    statistics.median(took),
                    statistics.median(cpu),
                )
            )
    return rows


def size_of(url, connection_sizes):
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return path.stat().st_size, path.with_name(
            f"{path.stem}-search{path.suffix}"
        ).stat().st_size
    return connection_sizes


async def postgres_sizes(url):
    import asyncpg

    raw = await asyncpg.connect(url)
    await raw.execute("VACUUM ANALYZE search_documents")
    sizes = [
        await raw.fetchval(f"SELECT pg_total_relation_size('{table}')")
        for table in ("events", "search_documents")
    ]
    await raw.close()
    return tuple(sizes)


async def main(url, messages, runs):
    from tidings.server.storage.migrate import ensure_newest

    if url.startswith("postgresql"):
        import asyncpg

        admin = await asyncpg.connect(url.rpartition("/")[0] + "/postgres")
        name = url.rpartition("/")[2]
        await admin.execute(f"DROP DATABASE IF EXISTS {name}")
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
    await ensure_newest(url)
    begun = time.perf_counter()
    server = await populate(url, messages, Corpus())
    populated = time.perf_counter()
    while server.search_indexer.position < server.db.position:
        server.search_indexer._news.set()  # rows written past the service are no news to it
        await asyncio.sleep(0.2)
        if time.perf_counter() - populated > 900:
            raise SystemExit("the indexer does not come level")
    level = time.perf_counter()
    sizes = size_of(url, await postgres_sizes(url) if url.startswith("postgresql") else None)
    print(f"## {server.db.kind}, {messages:,} messages\n")
    print(
        f"Events: {sizes[0] / messages:.0f} bytes a message; index: {sizes[1] / messages:.0f} bytes a message."
    )
    print(
        f"Written in {populated - begun:.0f} s with the indexer at work, level {level - populated:.1f} s later.\n"
    )
    for searcher, where in (
        ("@u0:bench", "in all 1,000 rooms"),
        ("@some:bench", "in 334 rooms"),
        ("@one:bench", "in one room"),
    ):
        print(
            f"### Searcher {where}\n\n| query | order | results | count | first ms | median ms | CPU ms |\n|---|---|---|---|---|---|---|"
        )
        for term, order, results, count, first, median, cpu in await measure(
            server, searcher, runs
        ):
            print(
                f"| `{term}` | {order} | {results} | {count:,} | {first:.0f} | {median:.0f} | {cpu:.0f} |"
            )
        print(flush=True)
    print(
        f"Peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB."
    )
    await server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    asyncio.run(main(args.url, args.messages, args.runs))
