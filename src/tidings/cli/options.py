"""Options and arguments that several commands share."""

import argparse
import math
from collections.abc import Mapping

from tidings.cli.exits import UsageError


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that every command has."""
    common = parser.add_argument_group("common options")
    common.add_argument("-P", "--profile", metavar="NAME", help="which of several logins to use")
    common.add_argument("--json", action="store_true", help="print JSON, one object a line")
    common.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    common.add_argument(
        "--timeout", type=seconds, metavar="S", help="give up after this many seconds"
    )
    common.add_argument("--no-input", action="store_true", help="never ask, fail instead")


def seconds(text: str) -> float:
    """A length of time; for argparse."""
    try:
        length = float(text)
    except ValueError:
        length = 0.0
    if not 0 < length < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return length


def count(text: str) -> int:
    """A number of things, none included; for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return int(text)


def room_or_default(named: str | None, environment: Mapping[str, str]) -> str:
    """The room on the command line, else TIDINGS_ROOM."""
    room = named or environment.get("TIDINGS_ROOM")
    if not room:
        raise UsageError("no room is named", "name one, or set TIDINGS_ROOM")
    return room
