"""Names as people search for them: without case, accents and other finery."""

import unicodedata

WORDS_MAX = 5


def fold(text: str) -> str:
    """The text in the form that is compared: É and e, Ｆ and f, ß and ss are the same."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in decomposed if _is_seen(each)).casefold()


def _is_seen(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] not in "CM"


def name_text(localpart: str, display_name: str | None) -> str:
    """What a person is found by: each of their names on a line of its own."""
    names = [localpart] if display_name is None else [localpart, " ".join(display_name.split())]
    return "".join(f"\n{fold(name)}" for name in names)


def words(term: str) -> list[str]:
    """The words that must all occur in what is found; more than a few say nothing more."""
    return fold(term).split()[:WORDS_MAX]
