"""The example of a settings file, made from the settings themselves and their texts.

`python -m tidings.server admin config-example` prints it; a test keeps the copy
in docs/reference current.
"""

import ast
import inspect
from textwrap import wrap

import msgspec

from tidings.server import config

WIDTH = 98
_HEAD = """\
# Settings of Tidings. Every line that is commented out shows a default.
# The file is named by `tidings serve --config FILE`. Each setting can also stand in the
# environment, as TIDINGS_ and its path: TIDINGS_PORT, TIDINGS_RATE_LIMITS__ENABLED.
"""


def example() -> str:
    """The example file, in TOML."""
    texts = _texts()
    lines = [_HEAD]
    lines += _table(config.Config(), (), texts)
    return "\n".join(lines) + "\n"


def _texts() -> dict[tuple[str, str], str]:
    """The text below each field, by class and name."""
    texts: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(config)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        field = None
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                field = item.target.id
            elif field and isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
                texts[node.name, field] = " ".join(str(item.value.value).split())
    return texts


def _table(
    settings: msgspec.Struct, path: tuple[str, ...], texts: dict[tuple[str, str], str]
) -> list[str]:
    """The settings of one table, then the tables within it."""
    lines: list[str] = []
    tables: list[str] = []
    for field in msgspec.structs.fields(settings):
        text = texts.get((type(settings).__name__, field.name), "")
        value = getattr(settings, field.name)
        if isinstance(value, msgspec.Struct):
            inner = (*path, field.name)
            tables += ["", *_comment(text), f"[{'.'.join(inner)}]", *_table(value, inner, texts)]
        else:
            # Of text, numbers and truth values, TOML and JSON write the same.
            lines += [*_comment(text), f"# {field.name} = {msgspec.json.encode(value).decode()}"]
    return lines + tables


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrap(text, WIDTH)]
