"""What every command is given: its options, its streams, and the way to its session."""

import argparse
import getpass
import sys
from collections.abc import Mapping

from tidings.cli.exits import UsageError
from tidings.cli.output import Output
from tidings.client.backoff import Patience
from tidings.client.errors import ClientError
from tidings.client.http import Http, Surroundings
from tidings.client.session import SessionRequest, connect

_WAIT_WORTH_TELLING_S = 0.5


class Context:
    """One run of one command."""

    def __init__(self, options: argparse.Namespace, environment: Mapping[str, str]) -> None:
        self.options = options
        self.environment = environment
        self.as_json: bool = options.json
        self.timeout_s: float | None = options.timeout
        self.output = Output(environment, quiet=options.quiet)
        self.is_waiting = False
        """Whether the connection is lost at the moment."""

    @property
    def session(self) -> SessionRequest:
        """The session that the options and the environment ask for."""
        return SessionRequest(
            environment=self.environment,
            profile=self.options.profile,
            patience=Patience(total_s=self.timeout_s) if self.timeout_s else Patience(),
            surroundings=Surroundings(on_wait=self._tell_wait),
        )

    async def connect(self) -> Http:
        """A connection with a login."""
        return await connect(self.session)

    def _tell_wait(self, error: ClientError, wait_s: float) -> None:
        if self.is_waiting or wait_s < _WAIT_WORTH_TELLING_S:
            return
        self.is_waiting = True
        self.output.note(f"{error.message}; trying again ...")

    def tell_connected(self) -> None:
        """An answer has come: say so if its absence was told."""
        if self.is_waiting:
            self.is_waiting = False
            self.output.note("connected again")

    @property
    def may_ask(self) -> bool:
        """Whether somebody is there to answer."""
        return sys.stdin.isatty() and not self.options.no_input

    def ask(self, question: str, instead: str) -> str:
        """A line from a person; raises UsageError with what to do instead if nobody is there."""
        if not self.may_ask:
            raise UsageError(f"the {question} is missing and nobody is here to be asked", instead)
        self.output.prompt(f"{question}:")
        answer = sys.stdin.readline().strip()
        if not answer:
            raise UsageError("cancelled: no answer was given")
        return answer

    def ask_password(self, question: str) -> str:
        """A secret from a person, not shown."""
        if not self.may_ask:
            raise UsageError(
                f"the {question} is missing and nobody is here to be asked",
                "give it with --password-stdin",
            )
        return getpass.getpass(f"{question}: ")


def read_stdin_line() -> str:
    """The first line of standard input."""
    return sys.stdin.readline().rstrip("\r\n")


def read_stdin() -> str:
    """All of standard input; what is not UTF-8 is replaced."""
    return sys.stdin.buffer.read().decode("utf-8", errors="replace")
