import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import Tidings
from tidings.cli.exits import Exit
from tidings.cli.main import COMMANDS

HEAVY = {"httpx", "msgspec", "asyncio", "ssl", "tidings.server", "tidings.client", "uvicorn"}


async def test_help_shows_every_command(tmp_path: Path) -> None:
    result = await Tidings(tmp_path).run("--help")
    assert result.code == 0
    assert all(f"\n  {name} " in result.out for name in COMMANDS)
    assert result.err == ""


def test_help_imports_nothing_heavy_and_costs_little() -> None:
    code = (
        "import sys\n"
        "from tidings.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert set(done.stderr.split()) & HEAVY == set()
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu_s < 0.15


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.module])
async def test_every_command_has_help_with_the_common_options(tmp_path: Path, name: str) -> None:
    result = await Tidings(tmp_path).run(name, "--help")
    assert result.code == 0
    assert "--json" in result.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "commands"),
        (("sned",), "did you mean 'send'?"),
        (("send", "--nonsense"), "--nonsense"),
        (("room",), "VERB"),
        (("send",), "no room is named"),
        (("send", "!r:h"), "the text is empty"),
        (("login",), "nobody is here to be asked"),
        (("send", "!r:h", "hi", "--txn", ""), "--txn"),
        (("whoami", "--timeout", "nan"), "not a number of seconds"),
    ],
)
async def test_usage_errors(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    result = await Tidings(tmp_path).run(*arguments)
    assert result.code == 2
    assert says in result.err
    assert result.out == ""


async def test_without_a_login_the_exit_code_says_so(tmp_path: Path) -> None:
    result = await Tidings(tmp_path).run("whoami", "--json")
    assert result.code == 4
    assert result.out == ""
    assert result.err == (
        '{"error":{"exit_code":4,"message":"you are not logged in",'
        '"hint":"log in with: tidings login","code":"M_MISSING_TOKEN","status":401}}\n'
    )


async def test_a_server_that_is_not_there_is_a_network_failure(tmp_path: Path) -> None:
    nobody = Tidings(tmp_path, TIDINGS_TOKEN="x", TIDINGS_SERVER="http://127.0.0.1:9")
    result = await nobody.run("whoami", "--timeout", "0.3")
    assert result.code in {6, 124}
    assert "http://127.0.0.1:9" in result.err or "0.3 seconds" in result.err


async def test_the_server_is_another_program(tmp_path: Path) -> None:
    result = await Tidings(tmp_path).run("serve", "--help")
    assert result.code == 0
    assert "--data" in result.out


def test_the_guide_names_every_command_and_every_exit_code() -> None:
    guide = Path("docs/guide/command-line.md").read_text()
    assert [name for name in COMMANDS if f"`tidings {name}" not in guide] == []
    assert [code for code in Exit if f"\n| {code.value} |" not in guide] == []
