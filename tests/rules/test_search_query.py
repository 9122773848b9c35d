import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.rules.search_query import Clause, Text, highlights, parse_query, score
from tidings.rules.search_tokens import tokens, units

DAY_MS = 24 * 3_600_000


def holds(found: set[str], clause: Clause) -> bool:
    """As an index judges a clause."""

    def has(token: str) -> bool:
        if token.endswith("*"):
            return any(each.startswith(token[:-1]) for each in found)
        return token in found

    return any(all(map(has, alternative)) for alternative in clause.alternatives)


def is_found(term: str, text: str) -> bool:
    query = parse_query(term)
    found = tokens(text)
    is_candidate = all(holds(found, clause) for clause in query.clauses)
    return is_candidate and score(query, Text(text), 0) is not None


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("foo_bar", "a fooBar-12 b"), ("foobar", "foo_bar"), ("fooBarBaz", "foobarbaz"),
        ("foobarbaz", "fooBarBaz"), ("bar", "fooBarBaz"), ("PLT-3699", "see PLT3699"),
        ("plt3699", "see PLT-3699."), ("src/app.py", "/home/src/app.py:12"),
        ("北京", "我在北京工作"),
        ("京", "我在北京"), ("作", "我在北京工作"), ("K8s集群", "用K8s集群吗"),
        ("deploy*", "deployment"),
        ('"hello world"', "Hello, World!"), ("서울", "서울에서"), ("“hello world”", "hello world"),
    ],
)  # fmt: skip
def test_a_query_finds_what_is_meant(term: str, text: str) -> None:
    assert is_found(term, text)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ('"world hello"', "Hello, World!"), ("北京工作", "北京的工作"), ("10.0", "100"),
        ("100", "10.0"),
        ("deploy*", "redeploy"), ("art", "party"), ("京北", "北京"), ("a b", "a"),
        ("北京大学", "大学在北京,京大"),
    ],
)  # fmt: skip
def test_a_query_does_not_find_what_is_not(term: str, text: str) -> None:
    assert not is_found(term, text)


def points(term: str, text: str, age_ms: int = 0) -> float:
    found = score(parse_query(term), Text(text), age_ms)
    assert found is not None
    return found


def test_the_closer_the_fresher_and_the_shorter_rank_higher() -> None:
    assert points("red fox", "a red fox") > points("red fox", "the fox is red")
    assert points("foxes", "two foxes") > points("foxes", "two fox")
    assert points("fox", "a fox") > points("fox", "a fox " + "and more " * 40)
    assert points("fox", "fox", 0) > points("fox", "fox", 90 * DAY_MS)
    assert points("fox", "fox fox fox", 0) > points("fox", "fox dog cat", 0)


@pytest.mark.parametrize(
    ("term", "text", "expected"),
    [
        ("deploy", "Deployed twice, DEPLOYING again", ["Deployed", "DEPLOYING"]),
        ("foobar", "see foo_bar", ["foo_bar"]),
        ("北京", "我在北京", ["北京"]),
        ("cafe latte", "Café, latte", ["Café", "latte"]),
        ("dep*", "deploy it", ["deploy"]),
    ],
)
def test_highlights_are_the_words_as_they_stand(term: str, text: str, expected: list[str]) -> None:
    assert highlights(parse_query(term), Text(text)) == expected


@given(st.text(max_size=60))
def test_every_text_without_operators_finds_itself(text: str) -> None:
    plain = "".join(" " if each in '"*“”„«»' else each for each in text)
    if any(True for _ in units(plain)):
        assert is_found(plain, plain)


@given(st.text(max_size=200))
def test_no_query_is_refused(text: str) -> None:
    query = parse_query(text)
    highlights(query, Text(text))
    assert all(alternative for clause in query.clauses for alternative in clause.alternatives)
