"""orjson and msgspec on a 530-byte event, and what a value object costs to make.

python json_floor.py
"""

import dataclasses
import statistics
import timeit

import msgspec
import orjson

EVENT = {
    "auth_events": ["$" + "a" * 43, "$" + "b" * 43, "$" + "c" * 43],
    "content": {"body": "Hello, how are you? " * 3, "msgtype": "m.text"},
    "depth": 1234,
    "hashes": {"sha256": "h" * 43},
    "origin_server_ts": 1766000000000,
    "prev_events": ["$" + "d" * 43],
    "room_id": "!" + "r" * 18 + ":example.org",
    "sender": "@alice:example.org",
    "type": "m.room.message",
}
TEXT = orjson.dumps(EVENT)
SORTED = msgspec.json.Encoder(order="sorted")
DECODER = msgspec.json.Decoder()


class Value(msgspec.Struct, frozen=True):
    room_id: str
    sender: str
    type: str
    position: int
    json: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Twin:
    room_id: str
    sender: str
    type: str
    position: int
    json: bytes


class Typed(msgspec.Struct):
    type: str
    sender: str
    room_id: str
    content: dict[str, object]


TYPED = msgspec.json.Decoder(Typed)
JOBS = {
    "orjson: write, keys sorted": lambda: orjson.dumps(EVENT, option=orjson.OPT_SORT_KEYS),
    "msgspec: write, keys sorted": lambda: SORTED.encode(EVENT),
    "orjson: read into dicts": lambda: orjson.loads(TEXT),
    "msgspec: read into dicts": lambda: DECODER.decode(TEXT),
    "msgspec: read into a checked Struct": lambda: TYPED.decode(TEXT),
    "make a frozen msgspec.Struct": lambda: Value("!r", "@a", "m", 5, TEXT),
    "make a frozen dataclass": lambda: Twin("!r", "@a", "m", 5, TEXT),
}
BAD = {
    "NaN": b'{"a": NaN}',
    "a number beyond a double": b'{"a": 1e999}',
    "bad UTF-8": b'{"a": "\xff"}',
    "a lone surrogate": b'{"a": "\\ud800"}',
}


def refuses(decode, text: bytes) -> str:
    try:
        decode(text)
    except ValueError:
        return "refused"
    return "accepted"


def main() -> None:
    print(f"an event of {len(TEXT)} bytes; CPU µs each, median of 7")
    for name, job in JOBS.items():
        took = timeit.repeat(job, number=50_000, repeat=7)
        print(f"{name:<40}{statistics.median(took) / 50_000 * 1e6:>8.2f}")
    for name, text in BAD.items():
        print(
            f"{name:<30}orjson {refuses(orjson.loads, text)}, msgspec {refuses(DECODER.decode, text)}"
        )


if __name__ == "__main__":
    main()
