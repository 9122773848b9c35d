"""Where a command speaks: data on stdout, everything else on stderr, nothing unsafe on either."""

import sys
from collections.abc import Mapping
from typing import TextIO

import msgspec

from tidings.cli.safe_text import safe_json, safe_line

PLAIN, DIM, BOLD, ALARM = "", "2", "1", "31"
Piece = tuple[str, str]
"""A text and its style."""


class Output:
    """The two streams of one run."""

    def __init__(self, environment: Mapping[str, str], *, quiet: bool = False) -> None:
        self._out, self._err = sys.stdout, sys.stderr
        self._quiet = quiet
        self._colour_out = _has_colour(environment, self._out)
        self._colour_err = _has_colour(environment, self._err)

    def line(self, *pieces: str | Piece) -> None:
        """One line of data: pieces with a space between, each made safe and then styled."""
        print(_join(pieces, has_colour=self._colour_out), file=self._out)

    def json(self, value: object) -> None:
        """One line of JSON."""
        print(safe_json(msgspec.json.encode(value).decode()), file=self._out)

    def note(self, *pieces: str | Piece) -> None:
        """Something a person may want to know; not with --quiet."""
        if not self._quiet:
            self._tell(pieces)

    def failure(self, message: str, hint: str = "") -> None:
        """What went wrong and what to do."""
        self._tell((("tidings:", ALARM), message))
        if hint:
            self._tell((("hint:", DIM), hint))

    def failure_json(self, failure: Mapping[str, object]) -> None:
        """The same for programs."""
        print(safe_json(msgspec.json.encode({"error": failure}).decode()), file=self._err)

    def prompt(self, text: str) -> None:
        """A question, with the cursor behind it."""
        print(safe_line(text), end=" ", file=self._err, flush=True)

    def flush(self) -> None:
        """Hand on what has been printed."""
        self._out.flush()

    def _tell(self, pieces: tuple[str | Piece, ...]) -> None:
        print(_join(pieces, has_colour=self._colour_err), file=self._err, flush=True)


def _join(pieces: tuple[str | Piece, ...], *, has_colour: bool) -> str:
    return " ".join(_styled(piece, has_colour=has_colour) for piece in pieces)


def _styled(piece: str | Piece, *, has_colour: bool) -> str:
    text, style = (piece, PLAIN) if isinstance(piece, str) else piece
    safe = safe_line(text)
    return f"\x1b[{style}m{safe}\x1b[0m" if style and has_colour else safe


def _has_colour(environment: Mapping[str, str], stream: TextIO) -> bool:
    if environment.get("NO_COLOR"):
        return False
    forced = environment.get("CLICOLOR_FORCE", "0") not in {"", "0"}
    return forced or (stream.isatty() and environment.get("TERM") != "dumb")
