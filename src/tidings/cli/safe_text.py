"""Text written by others made safe for a terminal: it can neither command it nor reorder it.

Removed are the control characters (with them every escape sequence, also the one-character forms
U+0080 to U+009F), bidirectional overrides and isolates, and line separators.
"""

import re

_UNSAFE = (
    "\x00-\x08\x0a-\x1f\x7f-\x9f"  # C0 but the tab, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional control
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # separators, byte order mark, annotations
    "\ud800-\udfff"  # halves of characters, which no encoding can write
)
_UNSAFE_ONE = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_JSON = re.compile(f"[{_UNSAFE}]".replace("\x0a-", "\x0b-"))
_LINE_END = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def safe_line(text: str) -> str:
    """The text on one line."""
    return _UNSAFE_ONE.sub(_REPLACEMENT, _LINE_END.sub(" ", text))


def safe_lines(text: str) -> list[str]:
    """The text's lines, each safe."""
    return [_UNSAFE_ONE.sub(_REPLACEMENT, line) for line in _LINE_END.split(text)]


def safe_json(encoded: str) -> str:
    """The same JSON with everything unsafe written as an escape."""
    return _UNSAFE_IN_JSON.sub(_as_escape, encoded)


def _as_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
