"""A real homeserver in a process of its own, for tests that talk to it as any client does."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tidings.client.accounts import Credentials, register
from tidings.client.http import Http

PASSWORD = "correct horse battery staple"
START_TIMEOUT_S = 30.0


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """`tidings serve --dev` on a data directory; it may be killed and started again."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data = data
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tidings.server", "serve", "--dev"]
        command += ["--data", str(self.data), "--port", str(self.port), *self._flags]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.base_url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start:\n{self.log_path.read_text()}")
            time.sleep(0.05)

    @property
    def log_path(self) -> Path:
        """What the server has said."""
        return self.data / "test-server.log"

    @property
    def pid(self) -> int:
        """The running process."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(timeout=30)
        self._process = None


def answers(base_url: str) -> bool:
    """Whether a homeserver answers there."""
    try:
        return httpx.get(f"{base_url}/_matrix/client/versions", timeout=5).is_success
    except httpx.TransportError:
        return False


class Homeserver:
    """The server as a test sees it: an address, and people who have just registered."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._open: list[Http] = []

    async def user(self, name: str) -> Http:
        """A new account of about that name, logged in; its connection ends with the test."""
        who = Credentials(f"{name}-{secrets.token_hex(4)}", PASSWORD, device_name="test")
        async with Http(self.base_url) as nobody:
            login = await register(nobody, who)
        return self.track(Http(self.base_url, login))

    def track(self, http: Http) -> Http:
        """Have a connection closed at the end of the test."""
        self._open.append(http)
        return http

    async def close(self) -> None:
        """Close every connection."""
        for http in self._open:
            await http.close()


def external_server() -> str | None:
    """A server somebody else has started, for trying the clients on other homeservers."""
    return os.environ.get("TIDINGS_TEST_SERVER")
