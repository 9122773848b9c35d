"""The two servers under test: each in its own process, with its own fresh data."""

import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from .matrix_load.accounting import ProcessTree

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path.home() / ".cache" / "tidings-bench"
START_PATIENCE_S = 120

SYNAPSE_CONFIG = """\
server_name: localhost
report_stats: false
pid_file: {data}/synapse.pid
signing_key_path: {data}/signing.key
media_store_path: {data}/media
log_config: {data}/log.yaml
macaroon_secret_key: {secret}
form_secret: {secret}
registration_shared_secret: {secret}
suppress_key_server_warning: true
trusted_key_servers: []
default_room_version: "11"
bcrypt_rounds: 4 # accounts are preparation here, not what is measured
presence: {{enabled: false}}
listeners:
  - {{port: {port}, type: http, bind_addresses: [127.0.0.1], resources: [{{names: [client]}}]}}
database: {{name: sqlite3, args: {{database: {data}/homeserver.db}}}}
rc_message: {no_limit}
rc_registration: {no_limit}
rc_admin_redaction: {no_limit}
rc_joins_per_room: {no_limit}
rc_room_creation: {no_limit}
rc_login: {{address: {no_limit}, account: {no_limit}, failed_attempts: {no_limit}}}
rc_joins: {{local: {no_limit}, remote: {no_limit}}}
rc_invites: {{per_room: {no_limit}, per_user: {no_limit}, per_issuer: {no_limit}}}
"""
NO_LIMIT = "{per_second: 100000, burst_count: 100000}"
SYNAPSE_LOG = """\
version: 1
disable_existing_loggers: false
handlers: {file: {class: logging.FileHandler, filename: %s/synapse.log}}
root: {level: WARNING, handlers: [file]}
"""


@dataclass
class Server:
    """A server that can be started and stopped on the same data."""

    name: str
    port: int
    data: Path
    command: list[str]
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> None:
        with (self.data / f"{self.name}.out").open("a") as out:
            self.process = subprocess.Popen(
                self.command, cwd=self.data, stdout=out, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + START_PATIENCE_S
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{self._last_words()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/_matrix/client/versions", timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _last_words(self) -> str:
        text = "".join(path.read_text() for path in self.data.glob("*.out"))
        return text[-2000:]

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def resident_mb(self) -> float:
        return ProcessTree([self.pid]).resident_bytes() / 1e6

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)


def tidings(port: int) -> Server:
    data = Path(tempfile.mkdtemp(prefix="tidings-bench-"))
    program = Path(sys.executable).parent / "tidings"
    command = [str(program), "serve", "--dev", "--data", str(data / "data"), "--port", str(port)]
    return Server("tidings", port, data, command)


def synapse(port: int) -> Server:
    python = _synapse_python()
    data = Path(tempfile.mkdtemp(prefix="synapse-bench-"))
    secret = secrets.token_hex(16)
    config = data / "homeserver.yaml"
    config.write_text(SYNAPSE_CONFIG.format(data=data, port=port, secret=secret, no_limit=NO_LIMIT))
    (data / "log.yaml").write_text(SYNAPSE_LOG % data)
    command = [str(python), "-m", "synapse.app.homeserver", "-c", str(config)]
    subprocess.run([*command, "--generate-keys"], check=True, cwd=data)
    return Server("synapse", port, data, command, ["--registration-shared-secret", secret])


def synapse_version() -> str:
    for line in (ROOT / "requirements/synapse.lock").read_text().splitlines():
        if line.startswith("matrix-synapse=="):
            return line.split("==")[1].split()[0]
    raise RuntimeError("requirements/synapse.lock names no Synapse")


def _synapse_python() -> Path:
    """The Python of an environment holding Synapse, on the interpreter that runs Tidings."""
    base = Path(sys._base_executable).resolve()
    number = ".".join(map(str, sys.version_info[:3]))
    place = CACHE / f"synapse-{synapse_version()}-python-{number}"
    python = place / "bin" / "python"
    if not (place / "installed").exists():
        print(f"Installing Synapse {synapse_version()} into {place} (once) ...", file=sys.stderr)
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([base, "-m", "venv", place], check=True)
        lock = ROOT / "requirements/synapse.lock"
        install = [python, "-m", "pip", "install", "-qq", "--require-hashes", "-r", lock]
        subprocess.run(install, check=True)
        (place / "installed").touch()
    return python
