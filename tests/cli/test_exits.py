import pytest

from tidings.cli.exits import Exit, UsageError, exit_code_of
from tidings.client.errors import (
    Ambiguous,
    BadAnswer,
    ClientError,
    NetworkError,
    login_needed,
    not_found,
    parse_refusal,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError("x"), 1),
        (BadAnswer("x"), 1),
        (parse_refusal(400, {"errcode": "M_BAD_JSON"}), 1),
        (UsageError("x"), 2),
        (Ambiguous("x"), 2),
        (not_found("x"), 3),
        (parse_refusal(404, {}), 3),
        (login_needed("x"), 4),
        (parse_refusal(401, {"errcode": "M_UNKNOWN_TOKEN"}), 4),
        (parse_refusal(401, {"flows": []}), 4),
        (parse_refusal(403, {}), 5),
        (NetworkError("x"), 6),
        (parse_refusal(429, {}), 7),
    ],
)
def test_each_failure_has_its_code(error: ClientError, code: int) -> None:
    assert exit_code_of(error) == code


def test_the_codes_scripts_rely_on_never_change() -> None:
    assert {exit_.name: exit_.value for exit_ in Exit} == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "LOGIN_NEEDED": 4,
        "FORBIDDEN": 5,
        "NETWORK": 6,
        "RATE_LIMITED": 7,
        "PARTLY_DONE": 9,
        "TIMEOUT": 124,
        "INTERRUPTED": 130,
    }
