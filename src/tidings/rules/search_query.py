"""What somebody searches for, and how well a text answers it.

A query is a list of terms that must all occur: words, identifiers, runs of
characters; `"several words"` in quotes one after the other; `word*` for
everything that begins so. An index finds candidates by clauses; whether a
candidate answers is decided here, from the text as it stands now.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from tidings.rules.search_tokens import Unit, clip, join, tokens_of, units

QUERY_LENGTH_MAX = 1_000
"""Characters of a query that are read."""
TERMS_MAX = 32
HIGHLIGHTS_MAX = 50
_PHRASE = re.compile(r'"([^"]*)"')
_CURLY = str.maketrans("“”„«»", '"""""')
_SEPARATOR = "\x1f"
_JOINED_MAX = 8

# BM25's constants, with a message's usual number of words in place of a mean.
_SATURATION, _LENGTH_WEIGHT, _USUAL_LENGTH = 1.2, 0.6, 15
_EXACT_BONUS = 0.35
_IN_ORDER_BONUS = 0.6
_RECENCY_WEIGHT = 0.5
_HALF_LIFE_MS = 30 * 24 * 3_600_000


class Clause(msgspec.Struct, frozen=True):
    """One of the alternatives must be among a document's tokens, whole; `…*` begins a token."""

    alternatives: tuple[tuple[str, ...], ...]


class Term(msgspec.Struct, frozen=True):
    """Units that must occur one after the other."""

    keys: tuple[str, ...]
    exact: tuple[str, ...]
    whole: str | None
    """The word that the units are when they are written as one."""
    is_prefix: bool = False


class Query(msgspec.Struct, frozen=True):
    """What is searched for."""

    terms: tuple[Term, ...]
    clauses: tuple[Clause, ...]


class Text:
    """A text, cut for comparing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.units = list(units(text))
        self.keys = _flat([unit.key for unit in self.units])
        self.exact = _flat([unit.exact for unit in self.units])
        self._tokens: set[str] | None = None

    def occurrences(self, term: Term) -> int:
        """How often the term occurs."""
        if term.is_prefix:
            return self.exact.count(_flat(term.exact)[:-1])
        found = self.keys.count(_flat(term.keys))
        if found or term.whole is None:
            return found
        if self._tokens is None:
            self._tokens = tokens_of(self.units)
        return int(term.whole in self._tokens)


def parse_query(search_term: str) -> Query:
    """The query that a person wrote; without terms where there is no word in it."""
    text = search_term[:QUERY_LENGTH_MAX].translate(_CURLY)
    terms: list[Term] = []
    clauses: list[Clause] = []
    for part, is_phrase in _parts(text):
        for run in [list(units(part))] if is_phrase else _runs(part):
            if not run or len(terms) == TERMS_MAX:
                continue
            is_prefix = not is_phrase and part[run[-1].end : run[-1].end + 1] == "*"
            term = _term(run, is_phrase=is_phrase, is_prefix=is_prefix)
            if term not in terms:
                terms.append(term)
                clauses += _clauses(run, is_prefix=term.is_prefix)
    return Query(tuple(terms), tuple(dict.fromkeys(clauses)))


def score(query: Query, text: Text, age_ms: int) -> float | None:
    """How well a text of that age answers; None if it does not."""
    length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * len(text.units) / _USUAL_LENGTH
    total = 0.0
    for term in query.terms:
        count = text.occurrences(term)
        if not count:
            return None
        total += count * (1 + _SATURATION) / (count + _SATURATION * length)
        total += _EXACT_BONUS * (_flat(term.exact) in text.exact)
    if len(query.terms) > 1:
        in_order = _flat([key for term in query.terms for key in term.keys])
        total += _IN_ORDER_BONUS * len(query.terms) * (in_order in text.keys)
    recency = math.exp2(-max(age_ms, 0) / _HALF_LIFE_MS)
    return total * (1 + _RECENCY_WEIGHT * recency)


def highlights(query: Query, text: Text) -> list[str]:
    """What of a text answers the query, as it is written there."""
    found: dict[str, None] = {}
    for term in query.terms:
        for start, end in _places(term, text.units):
            found[text.text[start:end]] = None
    return list(found)[:HIGHLIGHTS_MAX]


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    last = 0
    for phrase in _PHRASE.finditer(text):
        yield text[last : phrase.start()], False
        yield phrase.group(1), True
        last = phrase.end()
    yield text[last:], False


def _runs(text: str) -> Iterator[list[Unit]]:
    """The units that are glued together."""
    run: list[Unit] = []
    for unit in units(text):
        if run and not unit.glued:
            yield run
            run = []
        run.append(unit)
    yield run


def _term(run: Sequence[Unit], *, is_phrase: bool, is_prefix: bool) -> Term:
    exact = tuple(unit.exact for unit in run)
    has_whole = not is_phrase and not any(unit.unspaced for unit in run)
    return Term(
        tuple(unit.key for unit in run),
        exact,
        join(*exact) if has_whole else None,
        is_prefix and has_whole and len(exact[-1]) > 1,
    )


def _clauses(run: Sequence[Unit], *, is_prefix: bool) -> Iterator[Clause]:
    """What an index must hold for the run, one clause for each stretch of one kind."""
    stretch: list[Unit] = []
    for unit in run:
        if stretch and (not unit.glued or unit.unspaced != stretch[-1].unspaced):
            yield _clause(stretch, is_prefix=False)
            stretch = []
        stretch.append(unit)
    yield _clause(stretch, is_prefix=is_prefix)


def _clause(stretch: Sequence[Unit], *, is_prefix: bool) -> Clause:
    exact = [unit.exact for unit in stretch]
    pairs = list(pairwise(exact))
    if stretch[0].unspaced:
        return Clause(((f"{exact[0]}*",),) if not pairs else (tuple(map("".join, pairs)),))
    if is_prefix:
        return Clause(((clip(exact[-1]) + "*",),))
    whole = (join(*exact),) if pairs else (clip(stretch[0].key),)
    joined = tuple(dict.fromkeys(join(*pair) for pair in pairs)) or whole
    return Clause((whole,) if joined == whole else (whole, joined))


def _flat(parts: Sequence[str]) -> str:
    return f"{_SEPARATOR}{_SEPARATOR.join(parts)}{_SEPARATOR}"


def _places(term: Term, found: Sequence[Unit]) -> Iterator[tuple[int, int]]:
    size = len(term.keys)
    for place, unit in enumerate(found):
        if term.is_prefix and size == 1:
            if unit.exact.startswith(term.exact[0]):
                yield unit.start, unit.end
        elif tuple(each.key for each in found[place : place + size]) == term.keys:
            yield unit.start, found[place + size - 1].end
        elif term.whole is not None:
            end = _end_of_whole(term.whole, found[place : place + _JOINED_MAX])
            if end is not None:
                yield unit.start, end


def _end_of_whole(whole: str, found: Sequence[Unit]) -> int | None:
    """Where the units end that together are the word."""
    for count, unit in enumerate(found, start=1):
        if count > 1 and not unit.glued:
            return None
        if join(*(each.exact for each in found[:count])) == whole:
            return unit.end
    return None
