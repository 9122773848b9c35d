"""The habits of the house that no other tool holds: paths, documents, locks, traces."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "tidings"
PURE_PACKAGES = ("protocol", "rules")
VAGUE_NAMES = {"utils", "helpers", "misc", "manager", "base", "common"}
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "plugins/**/*.md")
    for path in ROOT.glob(pattern)
)
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def tracked_files() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def decides_something(path: Path) -> bool:
    """Whether the module has a function; one of values and names only has nothing to test."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))


@pytest.mark.parametrize("package", PURE_PACKAGES)
def test_a_pure_module_has_its_tests_at_the_same_path(package: str) -> None:
    modules = [
        path.relative_to(PACKAGE)
        for path in (PACKAGE / package).rglob("*.py")
        if path.name != "__init__.py" and decides_something(path)
    ]
    missing = [
        str(module)
        for module in modules
        if not (ROOT / "tests" / module.with_name(f"test_{module.name}")).exists()
    ]
    assert not missing


@pytest.mark.parametrize("package", sorted(path.name for path in PACKAGE.glob("[a-z]*/")))
def test_a_test_stands_where_its_module_does(package: str) -> None:
    strays = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests" / package).rglob("test_*.py")
        if not (
            PACKAGE / path.relative_to(ROOT / "tests").with_name(path.name.removeprefix("test_"))
        ).exists()
    ]
    assert not strays


def test_a_module_is_a_noun() -> None:
    vague = [path for path in PACKAGE.rglob("*.py") if path.stem in VAGUE_NAMES]
    assert not vague


@pytest.mark.parametrize(
    "name",
    [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "README.zh-CN.md",
        "SECURITY.md",
    ],
)
def test_the_document_is_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 500


def test_architecture_fits_two_pages() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines()) <= 110


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_a_decision_fits_a_page_and_says_what_was_rejected(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 66  # lines of a printed page
    headings = re.findall(r"^## (\w+)", text, re.MULTILINE)
    assert headings == ["Situation", "Decision", "Rejected", "Consequences"]
    assert path.name in (path.parent / "README.md").read_text(encoding="utf-8")


def test_both_readmes_show_the_same_commands() -> None:
    def commands(name: str) -> list[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return [line.split("#")[0].rstrip() for line in lines if line.startswith("    ")]

    assert commands("README.md") == commands("README.zh-CN.md")


def test_both_readmes_have_the_same_sections() -> None:
    def levels(name: str) -> list[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        return re.findall(r"^#+", text, re.MULTILINE)

    assert levels("README.md") == levels("README.zh-CN.md")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    broken = [
        target for target in targets if "://" not in target and not (path.parent / target).exists()
    ]
    assert not broken


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_holds_names_versions_and_hashes_only(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    allowed = re.compile(r"[A-Za-z0-9._-]+==\S+( ; .*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not allowed.fullmatch(line)] == []
    assert any("--hash" in line for line in lines)


def test_the_scripts_can_be_run() -> None:
    names = ["serve", "test", "check", "fix", "bench"]
    scripts = [*(ROOT / "scripts" / name for name in names), ROOT / ".ci" / "run"]
    assert [path for path in scripts if not os.access(path, os.X_OK)] == []


def test_no_file_tells_of_the_machine_it_was_written_on() -> None:
    # Spelt in parts, so that this file does not tell either.
    traces = re.compile("|".join(["/wor" + "k/", "/ro" + "ot/", "pypi" + r"\.org"]))
    told = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if traces.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not told


def test_the_changelog_has_an_unreleased_section() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
