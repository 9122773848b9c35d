"""`tidings`: finds the command, and imports nothing but what that command needs.

Law: `tidings --help` costs an interpreter and argparse, no network library and no codec.
"""

import argparse
import importlib
import os
import sys
from typing import NamedTuple, NoReturn

USAGE = 2


class Command(NamedTuple):
    """A line of the help, and the module that does it (none: the server's own process)."""

    summary: str
    module: str | None


COMMANDS = {
    "login": Command("log in to a homeserver, or register there", "login"),
    "logout": Command("end the login and forget it", "logout"),
    "whoami": Command("who you are, where and by which profile", "whoami"),
    "send": Command("send a message to a room or a person", "send"),
    "log": Command("print the latest messages of a room", "log"),
    "tail": Command("print messages as they come", "tail"),
    "room": Command("list, create, join and leave rooms; invite; see members", "room"),
    "serve": Command("run a homeserver", None),
    "admin": Command("administer the homeserver on this machine", None),
}

_EXAMPLES = """\
examples:
  tidings login example.org                    log in (http://localhost:8008 works too)
  tidings room create "Dev" --alias dev        make a room
  tidings send '#dev' "the build is green"     say something in it
  git log -1 | tidings send '#dev'             send what a command prints
  tidings send @ann "lunch?"                   write to a person
  tidings tail '#dev'                          read along
  tidings serve --data ./data                  run your own homeserver
"""

_ENVIRONMENT = """\
environment:
  TIDINGS_PROFILE   which of several logins to use       TIDINGS_TOKEN   use this access token ...
  TIDINGS_ROOM      the room when none is named          TIDINGS_SERVER  ... of this homeserver
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    parser = _top_parser()
    given = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    if given.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    command = COMMANDS.get(given.command)
    if command is None:
        _refuse_unknown(given.command)
    if command.module is None:
        _become_server(given.command, given.rest)
    runner = importlib.import_module("tidings.cli.runner")
    code: int = runner.run(given.command, command.module, given)
    return code


def _top_parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {name:<10}{command.summary}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="tidings",
        usage="tidings [-P PROFILE] COMMAND ...",
        description=f"{_EXAMPLES}\ncommands (each has its own --help):\n{lines}\n",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-P", "--profile", metavar="NAME", help="which of several logins to use")
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _version() -> str:
    version: str = importlib.import_module("tidings").__version__
    return f"tidings {version}"


def _refuse_unknown(name: str) -> NoReturn:
    difflib = importlib.import_module("difflib")
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else "; see: tidings --help"
    print(f"tidings: there is no command {name!r}{guess}", file=sys.stderr)
    sys.exit(USAGE)


def _become_server(verb: str, rest: list[str]) -> NoReturn:
    """Hand over to the server's own program: clients do not import it."""
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "tidings.server", verb, *rest]
    os.execv(sys.executable, command)  # noqa: S606 # our own interpreter, no shell
