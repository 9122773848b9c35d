"""What a text is found by: words without case and accents, parts of identifiers, characters.

Law: a text and a query are cut by the same function, and both databases are
given only its tokens, so that search is the same whatever it is stored in.

A text is a row of units. A word is a unit; `fooBar` is two; a character of a
script that is written without spaces is one. Units that touch, or have only
`_ - . /` and the like between them, are glued. The tokens of a text are its
words, each two glued ones joined, and each two glued characters: so `foo_bar`,
`fooBar` and `foobar` find each other, and 北京 is found in 我在北京工作.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

import msgspec

TOKENS_VERSION = 1
"""To be raised whenever the tokens of any text change: indexes of another version are remade."""
TOKEN_LENGTH_MAX = 64
"""Longer words are found by so much of them, and then compared whole."""
JOINT = "·"
"""Stands between digits that are joined, so that 10.0 is not 100; begins the tokens of labels."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u309a"
    "\u309d-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Thai and its neighbours, Chinese, Japanese, Korean: words are not told apart by spaces alone."""
_ACCENTS = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff"
_MARKS = _ACCENTS + "\u0900-\u0dff\u20d0-\u20f0"
_LETTER = rf"(?:[^\W_{_UNSPACED}]|[{_MARKS}])"
_WORD = rf"{_LETTER}+(?:['’]{_LETTER}+)*"
_RUN = re.compile(rf"([{_UNSPACED}]+)|{_WORD}")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GLUE = "_-./:\\@#+~=&?%$"
_GLUE_LENGTH_MAX = 3
_CHAIN = re.compile(
    rf"(?:[{_UNSPACED}]+|{_WORD})"
    rf"(?:[{re.escape(_GLUE)}]{{0,{_GLUE_LENGTH_MAX}}}(?:[{_UNSPACED}]+|{_WORD}))*"
)
"""Units that are glued together; between two chains no token can stand."""
_CACHED_LENGTH_MAX = 32
_DROPPED = re.compile(rf"[{_ACCENTS}\x00-/:-@\[-`{{-\x7f\u2044\s]")


class Unit(msgspec.Struct, frozen=True, gc=False):
    """A word, or a character of a script without spaces."""

    key: str
    """What is compared: folded, without the endings of English words."""
    exact: str
    """Folded only."""
    start: int
    end: int
    """Where it stands in the text."""
    glued: bool
    """Whether it belongs to the unit before it."""
    unspaced: bool


def fold(text: str) -> str:
    """The text in the form that is compared: without case, accents, widths and ligatures."""
    if text.isascii():
        return text.lower().replace("'", "")
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", _DROPPED.sub("", decomposed).casefold())


def units(text: str) -> Iterator[Unit]:
    """The words and characters of a text, in order."""
    last = 0
    for run in _RUN.finditer(text):
        start = run.start()
        gap = text[last:start] if last and start - last <= _GLUE_LENGTH_MAX else None
        glued = gap is not None and not gap.strip(_GLUE)
        last = run.end()
        if run.group(1) is not None:
            yield from _characters(run.group(), start, glued=glued)
            continue
        place = start
        for part, exact, key in _parts(run.group()):
            if exact:
                yield Unit(key, exact, place, place + len(part), glued, unspaced=False)
                glued = True
            place += len(part)


def tokens(text: str) -> set[str]:
    """What the text is to be found by."""
    found: set[str] = set()
    for chain in _CHAIN.findall(text):
        if len(chain) <= _CACHED_LENGTH_MAX:
            found.update(_tokens_of_chain(chain))
        else:
            found |= tokens_of(units(chain))
    return found


def tokens_of(text: Iterable[Unit]) -> set[str]:
    """The tokens of a text that is cut already."""
    found: set[str] = set()
    run: list[Unit] = []
    for unit in text:
        if run and (not unit.glued or unit.unspaced != run[-1].unspaced):
            _add_tokens(found, run)
            run = []
        run.append(unit)
    if run:
        _add_tokens(found, run)
    return found


def join(*parts: str) -> str:
    """Glued units as the one word they may also be written as; without its ending."""
    joined = parts[0]
    for part in parts[1:]:
        joint = JOINT if joined[-1].isdigit() and part[0].isdigit() else ""
        joined += joint + part
    return clip(stem(joined))


def clip(token: str) -> str:
    """As much of a token as an index keeps."""
    return token[:TOKEN_LENGTH_MAX]


def stem(word: str) -> str:
    """An English word without the endings of number and tense; others come back as they are."""
    if len(word) < 4 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "ches", "shes", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    return _without_tense(word)


def _without_tense(word: str) -> str:
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and not set("aeiouy").isdisjoint(rest):
            if rest[-1] == rest[-2] and rest[-1] not in "lsz":
                return rest[:-1]
            return rest[:-1] if rest.endswith("e") and len(rest) > 4 else rest
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


@lru_cache(maxsize=20_000)
def _tokens_of_chain(chain: str) -> tuple[str, ...]:
    """The tokens of words that come again and again."""
    return tuple(tokens_of(units(chain)))


def _characters(run: str, start: int, *, glued: bool) -> Iterator[Unit]:
    folded = fold(run)
    is_same_length = len(folded) == len(run)
    for place, character in enumerate(folded):
        # A run that folding shortens (half-width kana) is highlighted whole.
        begin = start + place if is_same_length else start
        end = begin + 1 if is_same_length else start + len(run)
        yield Unit(character, character, begin, end, glued or place > 0, unspaced=True)


@lru_cache(maxsize=20_000)
def _parts(word: str) -> tuple[tuple[str, str, str], ...]:
    """The parts of a word as they stand, folded, and without endings."""
    is_plain = word.islower() or len(word) > TOKEN_LENGTH_MAX or not word[1:] or word.isdigit()
    parts = [word] if is_plain else _HUMP.split(word)
    folded = [(part, fold(part)) for part in parts]
    return tuple((part, exact, stem(exact)) for part, exact in folded)


def _add_tokens(found: set[str], run: list[Unit]) -> None:
    if run[0].unspaced:
        keys = [unit.key for unit in run]
        found.update(map("".join, pairwise(keys)))
        found.add(keys[-1])  # every other character begins a pair
        return
    found.update(clip(unit.key) for unit in run)
    if len(run) == 1:
        return
    exact = [unit.exact for unit in run]
    found.update(join(*pair) for pair in pairwise(exact))
    word = [exact[0]]
    for before, unit in pairwise(run):
        if before.end != unit.start:
            _add_whole(found, word)
            word = []
        word.append(unit.exact)
    _add_whole(found, word)


def _add_whole(found: set[str], word: list[str]) -> None:
    """A word of humps is found when it is written without them."""
    if len(word) > 2:
        found.add(join(*word))
