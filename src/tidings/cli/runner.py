"""Runs one command: options in, exit code out; every failure is told once, here."""

import argparse
import asyncio
import importlib
import io
import os
import sys
from typing import Protocol, cast

from tidings.cli.context import Context
from tidings.cli.exits import Exit, exit_code_of
from tidings.cli.options import add_common_options
from tidings.client.errors import ApiError, ClientError


class CommandModule(Protocol):
    """What a file of this folder offers to be a command."""

    __doc__: str | None

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    async def run(self, context: Context) -> int:
        """Do it; the result is the exit code."""


def run(name: str, module_name: str, given: argparse.Namespace) -> int:
    """Run the command of a module on the rest of the command line."""
    module = cast("CommandModule", importlib.import_module(f"tidings.cli.{module_name}"))
    parser = argparse.ArgumentParser(
        prog=f"tidings {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    add_common_options(parser)
    if given.profile is not None:
        parser.set_defaults(profile=given.profile)
    _write_what_the_terminal_can(sys.stdout, sys.stderr)
    return _run_guarded(module, Context(_parse(parser, given.rest), os.environ))


def _parse(parser: argparse.ArgumentParser, rest: list[str]) -> argparse.Namespace:
    """Options may stand between arguments, as in `send ROOM --md TEXT`."""
    try:
        return parser.parse_intermixed_args(rest)
    except TypeError:  # argparse says so before it reads anything: this command has verbs
        return parser.parse_args(rest)


def _write_what_the_terminal_can(*streams: object) -> None:
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run_guarded(module: CommandModule, context: Context) -> int:
    try:
        code = asyncio.run(_run_in_time(module, context))
        context.output.flush()
    except BrokenPipeError:
        _drop_output()
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except TimeoutError:
        _tell(context, Exit.TIMEOUT, ClientError(f"not done after {context.timeout_s:g} seconds"))
        return Exit.TIMEOUT
    except ClientError as error:
        _tell(context, exit_code_of(error), error)
        return exit_code_of(error)
    except OSError as error:  # a file of ours cannot be read or written
        _tell(context, Exit.ERROR, ClientError(str(error)))
        return Exit.ERROR
    return code


async def _run_in_time(module: CommandModule, context: Context) -> int:
    async with asyncio.timeout(context.timeout_s):
        return await module.run(context)


def _tell(context: Context, code: Exit, error: ClientError) -> None:
    if not context.as_json:
        context.output.failure(error.message, error.hint)
        return
    failure: dict[str, object] = {"exit_code": int(code), "message": error.message}
    if error.hint:
        failure["hint"] = error.hint
    if isinstance(error, ApiError):
        failure |= {"code": error.errcode, "status": error.status}
    context.output.failure_json(failure)


def _drop_output() -> None:
    """Nobody reads any more: what is still buffered must not complain at the end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
