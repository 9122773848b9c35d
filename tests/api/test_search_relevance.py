"""How good the search is: what a team said, and what people should find in it.

Prints precision, recall and how often the wanted message came first, and holds them to a bar.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.api.chat import create_room, done, send
from tests.api.server import ApiServer, Person

_SET: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("search_relevance.toml").read_text(encoding="utf-8")
)
PRECISION_BAR, RECALL_BAR, FIRST_BAR = 0.97, 0.95, 1.0


def is_unspaced(term: str) -> bool:
    """Chinese, Japanese, Korean or Thai."""
    return re.search("[\u0e00-\u0eff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]", term) is not None


def test_the_set_is_large_and_a_third_of_it_is_east_asian() -> None:
    terms = [query["term"] for query in _SET["queries"]]
    assert len(set(terms)) == len(terms) >= 60
    assert sum(map(is_unspaced, terms)) * 3 >= len(terms)


async def found_by(person: Person, term: str, names: dict[str, str]) -> list[str]:
    wanted = {"search_term": term, "keys": ["content.body"], "filter": {"limit": 50}}
    body = {"search_categories": {"room_events": wanted}}
    answer = await done(person.post("/search", body))
    results = answer["search_categories"]["room_events"]["results"]
    return [names[result["result"]["event_id"]] for result in results]


async def test_the_search_is_good(server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    names = {await send(alice, room_id, body): name for name, body in _SET["messages"].items()}
    right = returned = wanted = firsts = ordered = 0
    faults = []
    for query in _SET["queries"]:
        found, find = await found_by(alice, query["term"], names), query["find"]
        right += len(set(found) & set(find))
        returned += len(found)
        wanted += len(find)
        if set(found) != set(find):
            faults.append(f"{query['term']}: {found} instead of {find}")
        if query.get("first"):
            ordered += 1
            firsts += found[:1] == find[:1]
    precision, recall, first = right / returned, right / wanted, firsts / ordered
    with capsys.disabled():
        print(  # noqa: T201 - the score is what this test is for
            f"\nsearch: precision {precision:.3f}, recall {recall:.3f}, wanted one first"
            f" {firsts}/{ordered}, of {len(_SET['queries'])} queries; faults: {faults}"
        )
    assert precision >= PRECISION_BAR, faults
    assert recall >= RECALL_BAR, faults
    assert first >= FIRST_BAR
