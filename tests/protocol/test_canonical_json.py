import json
import math

import msgspec
import pytest
from hypothesis import given

from tests import json_values
from tidings.protocol.canonical_json import INTEGER_MAX, check_canonical, encode_canonical
from tidings.protocol.errors import BadJson


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("{}", "{}"),
        ('{"one": 1, "two": "Two"}', '{"one":1,"two":"Two"}'),
        ('{"b":"2","a":"1"}', '{"a":"1","b":"2"}'),
        ('{"a": "日本語"}', '{"a":"日本語"}'),
        ('{"本": 2, "日": 1}', '{"日":1,"本":2}'),
        (r'{"a": "\u65E5"}', '{"a":"日"}'),
        ('{"a": null}', '{"a":null}'),
        ('{"a": -0}', '{"a":0}'),
        (
            '{"auth": {"success": true, "three_pids": [{"medium": "email", "address": "a@b"}]}}',
            '{"auth":{"success":true,"three_pids":[{"address":"a@b","medium":"email"}]}}',
        ),
    ],
)
def test_examples_of_the_spec(text: str, canonical: str) -> None:
    value = msgspec.json.decode(text)
    check_canonical(value)
    assert encode_canonical(value).decode() == canonical


@given(json_values.values)
def test_is_what_the_spec_s_own_program_makes(value: object) -> None:
    check_canonical(value)
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert encode_canonical(value).decode() == expected


@given(json_values.values)
def test_decodes_to_the_same_value(value: object) -> None:
    assert msgspec.json.decode(encode_canonical(value)) == value


@pytest.mark.parametrize("number", [1.5, 1.0, -0.0, math.inf, INTEGER_MAX + 1, -INTEGER_MAX - 1])
def test_refuses_numbers_that_others_may_read_differently(number: float) -> None:
    for value in (number, {"a": number}, {"a": ["x", {"b": number}]}):
        with pytest.raises(BadJson):
            check_canonical(value)


def _nested(depth: int) -> object:
    value: object = "deep"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_bounds_nesting() -> None:
    check_canonical(_nested(100))
    for depth in (101, 100_000):
        with pytest.raises(BadJson):
            check_canonical(_nested(depth))


def test_refuses_lone_surrogates() -> None:
    with pytest.raises(BadJson):
        encode_canonical({"a": "\ud800"})
