"""What becomes of each operation: served, refused for a reason, or missing so far."""

import tomllib
from collections.abc import Mapping
from typing import NamedTuple

from tests.contract.definitions import HERE


class Refusal(NamedTuple):
    """An operation that is answered with an error, and why."""

    status: int
    errcode: str
    reason: str


def _read_refused() -> Mapping[str, Refusal]:
    tables = tomllib.loads((HERE / "refused.toml").read_text(encoding="utf-8"))
    return {name: Refusal(**table) for name, table in tables.items()}


def _read_missing() -> frozenset[str]:
    lines = (HERE / "missing.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


REFUSED = _read_refused()
MISSING = _read_missing()
