"""Makes spec/client-server.json: the definitions of the client-server API in one document.

    python -m tests.contract.vendor FOLDER    (the `data` folder of matrix-org/matrix-spec)

What only people read (descriptions, titles, examples) is left out; a reference to another file
becomes one into `components/schemas`, where each referenced file stands under its path. `oneOf`
becomes `anyOf`: alternatives upstream overlap, as a state event's content and any JSON object do.
"""

import json
import os.path
import sys
from pathlib import Path, PurePath

import yaml

from tests.contract.definitions import Json

OUTPUT = Path(__file__).parent / "spec" / "client-server.json"
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
_NAMES = {"properties", "patternProperties", "responses", "headers", "content", "paths"}
"""Keys below which stand names, not keywords."""
_FOR_PEOPLE = {
    "description", "title", "summary", "example", "examples", "tags", "externalDocs", "$schema",
}  # fmt: skip


class Bundler:
    """Collects files and what they refer to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.schemas: dict[str, Json] = {}

    def add_events(self) -> None:
        """Every event schema, referred to or not."""
        for path in sorted((self._folder / "event-schemas" / "schema").glob("m.*.yaml")):
            self._add(f"event-schemas/schema/{path.name}")

    def paths(self) -> dict[str, Json]:
        """Every operation by path; two on one path differ by a space at its end, as upstream."""
        paths: dict[str, Json] = {}
        for file in sorted((self._folder / "api" / "client-server").glob("*.yaml")):
            document = _read(file)
            base = document["servers"][0]["variables"]["basePath"]["default"]
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    if method in METHODS:
                        kept = self._kept(operation, f"api/client-server/{file.name}")
                        kept["x-file"] = file.stem
                        paths.setdefault(base + path, {})[method] = kept
        return paths

    def _add(self, name: str) -> None:
        if name not in self.schemas:
            self.schemas[name] = {}
            self.schemas[name] = self._kept(_read(self._folder / name), name)

    def _kept(self, node: Json, file: str) -> Json:
        if isinstance(node, list):
            return [self._kept(item, file) for item in node]
        if not isinstance(node, dict):
            return node
        kept: dict[str, Json] = {}
        for key, value in node.items():
            if key == "$ref":
                kept[key] = self._reference(value, file)
            elif key in _NAMES and isinstance(value, dict):
                kept[key] = {str(name): self._kept(item, file) for name, item in value.items()}
            elif key not in _FOR_PEOPLE and not key.startswith("x-"):
                kept["anyOf" if key == "oneOf" else key] = self._kept(value, file)
        return kept

    def _reference(self, target: str, file: str) -> str:
        path, _, fragment = target.strip().partition("#")
        name = os.path.normpath(PurePath(file).parent / path) if path else file
        self._add(name)
        pointer = name.replace("~", "~0").replace("/", "~1")
        return f"#/components/schemas/{pointer}{fragment}"


def _read(path: Path) -> Json:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


def bundle(folder: Path) -> dict[str, Json]:
    """The document of a folder."""
    bundler = Bundler(folder)
    paths = bundler.paths()
    bundler.add_events()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Matrix client-server API", "version": "v1.19"},
        "paths": paths,
        "components": {
            "securitySchemes": {
                name: {"type": "http", "scheme": "bearer"}
                for name in ("accessTokenBearer", "appserviceAccessTokenBearer", "signedRequest")
            },
            "schemas": dict(sorted(bundler.schemas.items())),
        },
    }


if __name__ == "__main__":
    made = json.dumps(bundle(Path(sys.argv[1])), indent=1, ensure_ascii=False)
    OUTPUT.write_text(made + "\n", encoding="utf-8")
