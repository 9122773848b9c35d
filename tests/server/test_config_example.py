"""The example of a settings file is what the settings are."""

import itertools
import re
import tomllib
from pathlib import Path

from tidings.server.config import Config, load_config, setting_paths
from tidings.server.config_example import example

COPY = Path(__file__).parents[2] / "docs/reference/config.example.toml"


def uncommented() -> str:
    return re.sub(r"(?m)^# (\w+ = )", r"\1", example())


def test_the_example_says_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text(uncommented())
    assert load_config(file, {}, {}) == Config()


def test_the_example_names_every_setting_and_says_what_it_is_for() -> None:
    tree: object = tomllib.loads(uncommented())
    for path in setting_paths(Config):
        inner = tree
        for name in path:
            assert isinstance(inner, dict)
            inner = inner[name]
    lines = example().splitlines()
    for before, line in itertools.pairwise(lines):
        if re.match(r"# \w+ = ", line):
            assert before.startswith("# "), line
            assert " = " not in before, line


def test_the_copy_in_the_documentation_is_current() -> None:
    # To make it anew: tidings admin config-example > docs/reference/config.example.toml
    assert COPY.read_text(encoding="utf-8") == example()
