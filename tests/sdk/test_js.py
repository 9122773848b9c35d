"""matrix-js-sdk, as Element uses it, against the real server; the plays are in js/."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.homeserver import ServerProcess

FOLDER = Path(__file__).parent / "js"
NODE_MIN = 22
PATIENCE_S = 100


@pytest.fixture
async def base_url(db_url: str, tmp_path: Path) -> AsyncGenerator[str, None]:
    process = ServerProcess(tmp_path / "data", "--database", db_url)
    await asyncio.to_thread(process.start)
    yield process.base_url
    await asyncio.to_thread(process.stop)


@pytest.fixture(scope="session")
def node() -> str:
    """Node with the packages of the play beside it; scripts/test sees to both."""
    for name in (os.environ.get("TIDINGS_TEST_NODE"), shutil.which("node"), _beside_python()):
        if name and _version(name) >= NODE_MIN:
            break
    else:
        pytest.skip(
            f"NO NODE {NODE_MIN} OR NEWER: matrix-js-sdk IS NOT TESTED (scripts/test has it)"
        )
    if not (FOLDER / "node_modules").is_dir():
        npm = [str(Path(name).with_name("npm")), "ci", "--silent", "--no-audit", "--no-fund"]
        try:
            subprocess.run(npm, cwd=FOLDER, check=True, timeout=PATIENCE_S, env=_env(name))
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"NO PACKAGES: matrix-js-sdk IS NOT TESTED: {error}")
    return name


def _beside_python() -> str:
    return str(Path(sys.executable).with_name("node"))


def _version(name: str) -> int:
    try:
        told = subprocess.run([name, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return int(told.stdout.strip().lstrip("v").partition(".")[0])


def _env(node: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.sdk
@pytest.mark.parametrize("play", ["play.test.mjs", "sliding.test.mjs", "e2ee.test.mjs"])
async def test_a_play(base_url: str, node: str, play: str) -> None:
    command = [node, "--test", "--test-force-exit", "--test-reporter=tap", play]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=FOLDER, env={**_env(node), "TIDINGS_URL": base_url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told = output.decode(errors="replace")
    assert process.returncode == 0, told
    assert "\n# fail 0\n" in told
    assert "\n# skipped 0\n" in told
