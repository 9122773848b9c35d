"""The operations of the client-server API, as spec/client-server.json defines them."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

Json: TypeAlias = Any
"""As it was read."""
HERE = Path(__file__).parent
DOCUMENT: Mapping[str, Json] = json.loads(
    (HERE / "spec" / "client-server.json").read_text(encoding="utf-8")
)
SCHEMAS: Mapping[str, Json] = DOCUMENT["components"]["schemas"]
_SAMPLES = {
    "userId": "%40alice%3Atest",
    "roomId": "%21room%3Atest",
    "roomIdOrAlias": "%23room%3Atest",
    "roomAlias": "%23room%3Atest",
    "eventId": "%24event",
    "kind": "override",
    "receiptType": "m.read",
}


class Operation(NamedTuple):
    """A method and a path; of two on one path, the second's definition ends in a space."""

    method: str
    path: str
    section: str
    """The definition's file: what belongs together."""

    @property
    def name(self) -> str:
        """How lists and documents name it."""
        return f"{self.method} {self.path}"

    @property
    def definition(self) -> Mapping[str, Json]:
        """Its part of the document."""
        found: Mapping[str, Json] = DOCUMENT["paths"][self.path][self.method.lower()]
        return found

    @property
    def needs_token(self) -> bool:
        """Whether nobody but a user may ask."""
        asked = self.definition.get("security")
        return asked is not None and {} not in asked

    @property
    def sample_path(self) -> str:
        """An encoded path that the operation is reached by."""
        path = self.path.strip()
        return re.sub(r"\{(\w+)\}", lambda found: _SAMPLES.get(found[1], found[1]), path)


def _operations() -> list[Operation]:
    return [
        Operation(method.upper(), path, definition["x-file"])
        for path, methods in DOCUMENT["paths"].items()
        for method, definition in methods.items()
    ]


OPERATIONS = sorted(_operations(), key=lambda operation: (operation.section, operation.path))


@cache
def _patterns() -> list[tuple[Operation, re.Pattern[str]]]:
    """Fixed segments before parameters, as the router decides."""
    patterns = []
    for operation in sorted(OPERATIONS, key=lambda each: each.path.replace("{", "~")):
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]*", re.escape(operation.path.strip()))
        if operation.path.endswith("/{stateKey}"):
            pattern = pattern.removesuffix("/[^/]*") + "(/[^/]*)?"  # left out where it is empty
        patterns.append((operation, re.compile(pattern)))
    return patterns


@cache
def find_operations(method: str, raw_path: str) -> tuple[Operation, ...]:
    """The operations that answer an encoded path: none for what is our own, two for a few."""
    found = [
        operation
        for operation, pattern in _patterns()
        if operation.method == method and pattern.fullmatch(raw_path)
    ]
    return tuple(each for each in found if each.path.strip() == found[0].path.strip())
