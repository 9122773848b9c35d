"""Requests/s of trivial servers, one worker process each, driven by wrk (64 connections).

python http_floor.py [--seconds 5] [--runs 3]
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from matrix_load.accounting import ProcessTree  # noqa: E402

PY = sys.executable
UVICORN = [
    PY,
    "-m",
    "uvicorn",
    "--loop",
    "uvloop",
    "--http",
    "httptools",
    "--no-access-log",
    "--log-level",
    "error",
    "--port",
    "{port}",
]
GRANIAN = [
    str(Path(PY).parent / "granian"),
    "--loop",
    "uvloop",
    "--no-ws",
    "--log-level",
    "error",
    "--workers",
    "1",
    "--port",
    "{port}",
    "--interface",
]
SERVERS = {
    "bare asyncio protocol": [PY, "apps.py", "protocol", "{port}"],
    "uvicorn raw ASGI": [*UVICORN, "apps:asgi"],
    "granian raw ASGI": [*GRANIAN, "asgi", "apps:asgi"],
    "granian RSGI": [*GRANIAN, "rsgi", "apps:rsgi"],
    "aiohttp server": [PY, "apps.py", "aiohttp", "{port}"],
    "uvicorn Starlette": [*UVICORN, "--factory", "apps:starlette_app"],
    "uvicorn Litestar": [*UVICORN, "--factory", "apps:litestar_app"],
}


def measure(command: list[str], port: int, seconds: int) -> tuple[float, float, float]:
    """(requests/s, server CPU µs a request, p99 ms)."""
    server = subprocess.Popen(
        [part.format(port=port) for part in command], cwd=HERE, stdout=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(100):
            try:
                urllib.request.urlopen(url).read()
                break
            except OSError:
                time.sleep(0.1)
        wrk = ["wrk", "-t1", "-c64", "--latency"]
        subprocess.run([*wrk, "-d1s", url], capture_output=True)
        tree = ProcessTree([server.pid])
        before = tree.cpu_seconds()
        out = subprocess.run([*wrk, f"-d{seconds}s", url], capture_output=True, text=True).stdout
        spent = tree.cpu_seconds() - before
        total = int(re.search(r"(\d+) requests in", out)[1])
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", out).groups()
        p99 = float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
        if "Non-2xx" in out:
            raise RuntimeError(out)
        return rate, spent / total * 1e6, p99
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            os.kill(server.pid, signal.SIGKILL)
            server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SERVERS}
    port = 18300
    for _ in range(options.runs):
        for name, command in SERVERS.items():
            port += 1
            results[name].append(measure(command, port, options.seconds))
    print(f"{'server':<26}{'requests/s':>12}{'(least-most)':>18}{'CPU us each':>13}{'p99 ms':>9}")
    for name, runs in results.items():
        rates, cpu, p99 = zip(*runs)
        spread = f"({min(rates):.0f}-{max(rates):.0f})"
        print(
            f"{name:<26}{statistics.median(rates):>12.0f}{spread:>18}"
            f"{statistics.median(cpu):>13.1f}{statistics.median(p99):>9.2f}"
        )


if __name__ == "__main__":
    main()
