"""The `tidings` command as people and scripts run it: a process, its streams, its exit code."""

import asyncio
import json
import sys
from pathlib import Path

from tidings.client.http import Http


class Result:
    """What a finished command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"

    @property
    def records(self) -> list[dict[str, object]]:
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


class Tidings:
    """The command with one person's home directory and environment."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.environment = {"HOME": str(home), "TZ": "UTC", **environment}

    def with_environment(self, **more: str) -> "Tidings":
        return Tidings(self.home, **{**self.environment, **more})

    async def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run to the end. Standard input is a pipe with the text, or a closed one."""
        process = await self.start(*arguments)
        out, err = await process.communicate((stdin or "").encode("utf-8", "surrogateescape"))
        assert process.returncode is not None
        return Result(process.returncode, out.decode(), err.decode())

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start it and leave it running."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tidings.cli",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin", **self.environment},
        )


def as_user(home: Path, http: Http) -> Tidings:
    """The command of somebody whose token is in the environment."""
    token = http.require_login().access_token
    return Tidings(home, TIDINGS_TOKEN=token, TIDINGS_SERVER=http.base_url)
