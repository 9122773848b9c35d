import pytest

from tidings.cli.output import ALARM, Output


def test_data_and_everything_else_go_different_ways(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output({})
    output.line("data", ("more", ALARM))
    output.note("a note")
    output.failure("it broke", "mend it")
    out, err = capsys.readouterr()
    assert out == "data more\n"
    assert err == "a note\ntidings: it broke\nhint: mend it\n"


def test_quiet_keeps_failures(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output({}, quiet=True)
    output.note("a note")
    output.failure("it broke")
    assert capsys.readouterr() == ("", "tidings: it broke\n")


def test_colour_only_when_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    Output({"CLICOLOR_FORCE": "1"}).line(("red\x1b[0m", ALARM))
    Output({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}).line(("red", ALARM))
    assert capsys.readouterr().out == "\x1b[31mred\ufffd[0m\x1b[0m\nred\n"


def test_json_is_safe_for_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output({}).json({"body": "\x1b[31m\x9b\u202e"})
    assert capsys.readouterr().out == '{"body":"\\u001b[31m\\u009b\\u202e"}\n'
