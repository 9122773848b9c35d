"""Globs: `*` for any text, `?` for one character.

Segments between stars are sought from left to right, each at its first
place: that finds a match if there is one, and no pattern can make it
backtrack. Source: appendices, "Glob-style matching"; push notifications, "event_match".
"""

import re

import msgspec

_WORD = "[A-Za-z0-9_]"
_BOUNDARY = f"(?:(?<!{_WORD})|(?!{_WORD}))"
"""Push notifications: a word boundary is any character not in these sets, or an end of the text."""

_is_boundary = re.compile(_BOUNDARY).match


class Glob(msgspec.Struct, frozen=True):
    """A compiled pattern."""

    first: re.Pattern[str]
    middle: tuple[re.Pattern[str], ...]
    last: re.Pattern[str] | None
    """None where the pattern has no star: then `first` is all of it."""

    def matches(self, text: str) -> bool:
        """Whether the pattern is found in the text, between the bounds it was compiled for."""
        found = self.first.search(text)
        for segment in self.middle:
            if found is None:
                return False
            found = segment.search(text, found.end())
        if found is None or self.last is None:
            return found is not None
        return self.last.search(text, found.end()) is not None


def compile_stars(pattern: str) -> Glob:
    """Only `*` is special: must match the whole text, in the same case."""
    segments = [re.escape(segment) for segment in _split(pattern)]
    return _compile(segments, r"\A", r"\Z", re.DOTALL)


def compile_glob(pattern: str) -> Glob:
    """Must match the whole text, in any case."""
    return _compile(_segments(pattern), r"\A", r"\Z", re.DOTALL | re.IGNORECASE)


def compile_word_glob(pattern: str) -> Glob:
    """Must match, in any case, a part of the text that begins and ends at word boundaries."""
    return _compile(_segments(pattern), _BOUNDARY, _BOUNDARY, re.DOTALL | re.IGNORECASE)


def contains_words(text: str, words: str) -> bool:
    """Whether the words occur in the text, in any case, between word boundaries."""
    text, words = text.lower(), words.lower()
    start = text.find(words)
    while start >= 0:
        if _is_boundary(text, start) and _is_boundary(text, start + len(words)):
            return True
        start = text.find(words, start + 1)
    return False


def _split(pattern: str) -> list[str]:
    return re.split(r"\*+", pattern)


def _segments(pattern: str) -> list[str]:
    return [re.escape(segment).replace(r"\?", ".") for segment in _split(pattern)]


def _compile(segments: list[str], begin: str, end: str, flags: re.RegexFlag) -> Glob:
    if len(segments) == 1:
        return Glob(re.compile(begin + segments[0] + end, flags), (), None)
    first, *middle, last = segments
    return Glob(
        first=re.compile(begin + first, flags),
        middle=tuple(re.compile(segment, flags) for segment in middle),
        last=re.compile(last + end, flags),
    )
