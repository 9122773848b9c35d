"""python -m matrix_load SCENARIO --base-url http://127.0.0.1:8008 [options]."""

import argparse
import asyncio
import gc
import json
import sys

import uvloop

from . import growth  # noqa: F401  (adds its scenario)
from .client import Homeserver
from .scenarios import SCENARIOS


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="matrix_load", description=__doc__)
    add = parser.add_argument
    add("scenario", choices=sorted(SCENARIOS))
    add("--base-url", default="http://127.0.0.1:8008")
    add(
        "--server-pid",
        type=lambda text: [int(pid) for pid in text.split(",")],
        help="root process(es) of the server, comma separated: their CPU and memory are reported",
    )
    add("--registration-shared-secret", help="register through Synapse's admin interface")
    add("--registration-token", help="for servers that ask for one")
    add("--state", help="a file that keeps accounts and rooms for the next run on the same server")
    add("--users", type=int, help="number of users")
    add("--members", type=int, help="members of a room (deliver, many-rooms)")
    add("--rooms", type=int, help="number of rooms")
    add("--concurrency", type=int, help="senders, readers or workers at once")
    add(
        "--rate",
        type=float,
        default=0.0,
        help="messages/s over all senders; 0: as fast as answered",
    )
    add("--duration", type=float, default=15.0, help="seconds to send for (or to idle for)")
    add("--messages", type=int, default=0, help="a number of messages instead of a duration")
    add("--padding", type=int, default=100, help="bytes of text in a message")
    add("--timeline-limit", type=int, default=20, help="timeline limit of the sync filter")
    add("--transport", choices=["poll", "websocket"], default="poll", help="how members follow")
    add("--repeat", type=int, default=1, help="read the same history so many times (history)")
    add("--set-presence", choices=["online", "offline", "unavailable"], help="for the long polls")
    add(
        "--settle",
        type=float,
        default=2.0,
        help="seconds between the first polls and the first send",
    )
    add(
        "--drain-patience",
        type=float,
        default=60.0,
        help="give up on the rest after so long without any",
    )
    add("--size-mb", type=int, default=10, help="size of an uploaded file")
    add("--seed", type=int, default=1, help="names the accounts and rooms, and picks the rooms")
    add("--label", default="", help="free text copied into the JSON line")
    add("--json", action="store_true", help="print the JSON line only")
    return parser.parse_args(argv)


async def run(options: argparse.Namespace) -> dict:
    server = Homeserver(options)
    try:
        figures = await SCENARIOS[options.scenario](server, options)
    finally:
        server.save()
        server.pool.close()
    window, check = figures.pop("window"), figures.pop("check")
    if server.tree and not server.tree.alive():
        check["ok"] = False
        check["server_died"] = True
    return {
        "scenario": options.scenario,
        "label": options.label,
        "verdict": "ok" if check.pop("ok") else "FAILED",
        **figures,
        **window.report(),
        "check": check,
        "rate_limited": server.counters.rate_limited,
        "connections": server.counters.connections,
        "lost_connections": server.counters.lost,
    }


def main() -> int:
    options = parse()
    uvloop.install()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    result = asyncio.run(run(options))
    if not options.json:
        width = max(map(len, result)) + 2
        for name, value in result.items():
            shown = (
                ", ".join(f"{k} {v}" for k, v in value.items())
                if isinstance(value, dict)
                else value
            )
            print(f"{name:<{width}}{shown}")
        print()
    print(json.dumps(result))
    return 0 if result["verdict"] == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
