"""Microseconds for what every event needs: sign it, hash it, serialise it; and a password hash.

python crypto_floor.py [--runs 5]
"""

import argparse
import base64
import hashlib
import json
import statistics
import time
from collections.abc import Callable

import msgspec
import nacl.bindings
import nacl.signing
import orjson
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

EVENT = {
    "auth_events": ["$" + "a" * 43, "$" + "b" * 43, "$" + "c" * 43],
    "content": {"body": "The quick brown fox jumps over the lazy dog", "msgtype": "m.text"},
    "depth": 4711,
    "hashes": {"sha256": "x" * 43},
    "origin_server_ts": 1700000000000,
    "prev_events": ["$" + "d" * 43],
    "room_id": "!" + "r" * 43,
    "sender": "@somebody:example.org",
    "type": "m.room.message",
}


def best(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median and least µs of a call over the runs."""
    count, took = 1, 0.0
    while took < 0.05:
        count *= 2
        begun = time.perf_counter()
        for _ in range(count):
            work()
        took = time.perf_counter() - begun
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        for _ in range(count):
            work()
        times.append((time.perf_counter() - begun) / count * 1e6)
    return statistics.median(times), min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    raw = orjson.dumps(EVENT, option=orjson.OPT_SORT_KEYS)
    nacl_key = nacl.signing.SigningKey.generate()
    nacl_raw_key = bytes(nacl_key) + bytes(nacl_key.verify_key)
    other_key = Ed25519PrivateKey.generate()
    public, signature = other_key.public_key(), other_key.sign(raw)
    msgspec_sorted = msgspec.json.Encoder(order="sorted")
    owasp = [
        PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1),
        PasswordHasher(time_cost=1, memory_cost=47104, parallelism=1),
    ]

    def whole() -> bytes:
        """Content hash, signature over the redacted form, event id: three serialisations."""
        digest = hashlib.sha256(orjson.dumps(EVENT, option=orjson.OPT_SORT_KEYS)).digest()
        event = EVENT | {"hashes": {"sha256": base64.b64encode(digest).decode().rstrip("=")}}
        signed = other_key.sign(orjson.dumps(event, option=orjson.OPT_SORT_KEYS))
        event["signatures"] = {"example.org": {"ed25519:1": base64.b64encode(signed).decode()}}
        identifier = hashlib.sha256(orjson.dumps(event, option=orjson.OPT_SORT_KEYS)).digest()
        base64.urlsafe_b64encode(identifier)
        return orjson.dumps(event)

    print(f"event of {len(raw)} bytes")
    for name, work in {
        "Ed25519 sign, PyNaCl SigningKey": lambda: nacl_key.sign(raw),
        "Ed25519 sign, PyNaCl bindings": lambda: nacl.bindings.crypto_sign(raw, nacl_raw_key),
        "Ed25519 sign, cryptography": lambda: other_key.sign(raw),
        "Ed25519 verify, cryptography": lambda: public.verify(signature, raw),
        "canonical JSON, orjson sorted": lambda: orjson.dumps(EVENT, option=orjson.OPT_SORT_KEYS),
        "canonical JSON, msgspec sorted": lambda: msgspec_sorted.encode(EVENT),
        "canonical JSON, stdlib json": lambda: json.dumps(
            EVENT, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode(),
        "canonical JSON (orjson) + SHA-256": lambda: hashlib.sha256(
            orjson.dumps(EVENT, option=orjson.OPT_SORT_KEYS)
        ).digest(),
        "parse, orjson": lambda: orjson.loads(raw),
        "parse, msgspec untyped": lambda: msgspec.json.decode(raw),
        "whole event: hash + sign + id + JSON": whole,
        "argon2id m=19 MiB t=2 p=1 (OWASP)": lambda: owasp[0].hash("correct horse"),
        "argon2id m=46 MiB t=1 p=1 (OWASP)": lambda: owasp[1].hash("correct horse"),
    }.items():
        middle, least = best(work, runs)
        print(f"{name:<42}{middle:>12.2f} us{least:>12.2f} us least")


if __name__ == "__main__":
    main()
