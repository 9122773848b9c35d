"""Makes docs/reference/api-coverage.md: `python -m tests.contract.coverage`."""

from itertools import groupby
from pathlib import Path

from tests.contract.account import MISSING, REFUSED
from tests.contract.definitions import OPERATIONS, Operation

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "api-coverage.md"
_HEAD = """# Coverage of the client-server API

Made by `python -m tests.contract.coverage` from the definitions of Matrix v1.19; the tests in
`tests/contract` hold the server to it. Of {all} operations {served} are served, {refused} are
refused with a reason, {missing} are not there yet. An operation in *italics* is deprecated.

Every answer that the tests of the API see is held against the schema of its operation, and every
event in it against the schema of its type.
"""


def text() -> str:
    """The document as it should be."""
    refused, missing = len(REFUSED), len(MISSING)
    served = len(OPERATIONS) - refused - missing
    head = _HEAD.format(all=len(OPERATIONS), served=served, refused=refused, missing=missing)
    parts = [head]
    for section, operations in groupby(OPERATIONS, key=lambda each: each.section):
        rows = "".join(map(_row, operations))
        parts.append(f"\n## {section}\n\n| Operation | |\n|---|---|\n{rows}")
    return "".join(parts)


def _row(operation: Operation) -> str:
    name = f"`{operation.method} {operation.path.strip()}`"
    if operation.definition.get("deprecated"):
        name = f"*{name}*"
    return f"| {name} | {_state(operation)} |\n"


def _state(operation: Operation) -> str:
    if operation.name in MISSING:
        return "not yet"
    refusal = REFUSED.get(operation.name)
    if refusal is None:
        return "served"
    return f"refused with {refusal.status} `{refusal.errcode}`. {refusal.reason}"


if __name__ == "__main__":
    DOCUMENT.write_text(text(), encoding="utf-8")
