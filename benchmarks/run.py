"""Measure Tidings beside Synapse: the same work, in turn, on the same interpreter.

Prints one table and writes benchmarks/results/<date>.md and .json. CPU is that of the
server's whole process tree; a row is valid only when every message arrived exactly once
and in order in every run.
"""

import argparse
import datetime as dt
import json
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

from . import report, servers
from .matrix_load.accounting import machine_busy_seconds
from .servers import ROOT, Server
from .works import SINGLE_KEYS, WORKS, Work

RUN_PATIENCE_S = 1800
QUIET_SHARE = 0.3  # cores in use by others that count as quiet


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    keys = [*(work.key for work in WORKS), *SINGLE_KEYS]
    parser.add_argument("--only", nargs="+", choices=keys, help="these rows only", default=keys)
    parser.add_argument("--runs", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--quick", action="store_true", help="one short run of each: a first look")
    parser.add_argument("--no-synapse", action="store_true", help="Tidings alone")
    parser.add_argument("--no-tidings", action="store_true", help="Synapse alone")
    parser.add_argument("--save", action="store_true", help="write results even of a partial run")
    parser.add_argument(
        "--patience", type=float, default=30, help="seconds to wait for a quiet machine each time"
    )
    options = parser.parse_args()
    options.amounts = {"duration": "15", "history": "10000"}
    if options.quick:
        options.amounts = {"duration": "5", "history": "2000"}
    options.runs = 1 if options.quick else options.runs
    options.save |= options.only == keys and not options.quick and not options.no_tidings
    return options


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_quiet(patience: float) -> None:
    """Wait until little of the machine is in use, or patience ends."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before, at = machine_busy_seconds(), time.monotonic()
        time.sleep(1)
        if (machine_busy_seconds() - before) / (time.monotonic() - at) <= QUIET_SHARE:
            return


def generate(server: Server, arguments: list[str]) -> dict:
    """One run of the load generator in its own process."""
    command = [
        sys.executable, "-m", "benchmarks.matrix_load", *arguments, "--json",
        "--base-url", server.base_url, "--server-pid", str(server.pid),
        "--state", str(server.data / "state.json"), *server.options,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_PATIENCE_S, check=False
        )
        return json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"verdict": "FAILED", "error": f"took more than {RUN_PATIENCE_S} s"}
    except (IndexError, json.JSONDecodeError):
        return {"verdict": "FAILED", "error": done.stderr[-1000:]}


def arguments_for(work: Work, server: Server, amounts: dict[str, str]) -> list[str] | None:
    more = work.tidings if server.name == "tidings" else work.synapse
    if more is None:
        return None
    return [word.format_map(amounts) for word in (*work.scenario, *more)]


def compare(work: Work, both: list[Server], options: argparse.Namespace) -> dict[str, list[dict]]:
    """The work's runs on each server, in turn: A B A B."""
    runs: dict[str, list[dict]] = {}
    for number in range(options.runs):
        for server in both:
            arguments = arguments_for(work, server, options.amounts)
            if arguments is None:
                continue
            wait_for_quiet(options.patience)
            result = generate(server, arguments)
            runs.setdefault(server.name, []).append(result)
            figure = result.get(work.figure)
            trouble = result.get("error") or result.get("check") if figure is None else ""
            say(
                f"{work.key} {number + 1}/{options.runs} {server.name}: "
                f"{figure} ms, {result['verdict']} {trouble or ''}"
            )
            if result["verdict"] != "ok":
                say(f"  {result.get('check', '')} {result.get('error', '')}")
    return runs


def idle(server: Server, options: argparse.Namespace) -> dict:
    """The polls of 1,000 users on a server just started: memory freed earlier would hide growth."""
    accounts = ["idle", "--users", "1000"]
    generate(server, [*accounts, "--duration", "1"])
    server.restart()
    return generate(server, [*accounts, "--duration", "30" if options.quick else "60"])


def growth(server: Server) -> dict:
    """Once to prepare, and again after a restart, so that there are positions memory cannot answer."""
    generate(server, ["growth"])
    server.restart()
    return generate(server, ["growth"])


def measure(options: argparse.Namespace) -> tuple[list[report.Row], dict]:
    rows: list[report.Row] = []
    raw: dict = {}
    with ExitStack() as stack:
        both: list[Server] = []
        kinds = [servers.tidings] * (not options.no_tidings)
        kinds += [servers.synapse] * (not options.no_synapse)
        for kind in kinds:
            server = kind(free_port())
            stack.callback(server.remove)
            say(f"starting {server.name}")
            server.start()
            both.append(server)
        if "resident" in options.only:
            time.sleep(3)
            raw["resident"] = {f"{server.name}_mb": server.resident_mb() for server in both}
        for work in WORKS:
            if work.key in options.only:
                raw[work.key] = compare(work, both, options)
                rows.append(report.compared(work, raw[work.key]))
        if "tidings_mb" in raw.get("resident", {}):
            rows.append(report.resident_row(raw["resident"]))
        if not options.no_tidings:
            rows += singles(both[0], options, raw)
    return rows, raw


def singles(server: Server, options: argparse.Namespace, raw: dict) -> list[report.Row]:
    """What is asked of Tidings alone."""
    rows = []
    if "idle" in options.only:
        say("idle")
        raw["idle"] = idle(server, options)
        rows += report.idle_rows(raw["idle"])
    if "growth" in options.only:
        say("growth")
        raw["growth"] = growth(server)
        rows += report.growth_rows(raw["growth"])
    return rows


def main() -> int:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with us
    rows, raw = measure(options)
    print(report.as_text(rows))
    if options.save:
        facts = report.machine(servers.synapse_version())
        print(f"Written to {report.write(dt.date.today().isoformat(), facts, rows, raw)}")
    return 0 if all(row.met == "yes" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
