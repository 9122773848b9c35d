"""`tidings admin`: what an administrator does on the server's own machine.

It opens the database beside a running server, or without one, through the
same services. Passwords are asked for on a terminal or read from standard
input, never taken from the command line, where other users could see them.
"""

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from tidings.protocol.errors import MatrixError
from tidings.protocol.ids import UserId, is_opaque_id, parse_user_id, server_name_of
from tidings.server.app import Server, now_ms
from tidings.server.config import ConfigError, load_config
from tidings.server.config_example import example
from tidings.server.services.registration import NewAccount
from tidings.server.services.tokens import new_registration_token
from tidings.server.storage.accounts import RegistrationTokenRow, UserRow
from tidings.server.storage.database import StorageError, WriteTx
from tidings.server.storage.migrate import migrate

HOUR_MS = 3_600_000
TOKEN_BYTES_MAX = 64


class AdminError(Exception):
    """The command cannot be done; the sentence says why."""


class User(msgspec.Struct, frozen=True, omit_defaults=True):
    """An account as it is printed."""

    user_id: UserId
    created_ts: int
    is_admin: bool = False
    is_guest: bool = False
    is_locked: bool = False
    is_deactivated: bool = False


class RegistrationToken(msgspec.Struct, frozen=True, omit_defaults=True):
    """A registration token as it is printed."""

    token: str
    completed: int
    uses_allowed: int | None = None
    expires_ts: int | None = None
    is_valid: bool = False


Printed: TypeAlias = Sequence[User | RegistrationToken]
Command: TypeAlias = Callable[[Server, argparse.Namespace], Awaitable[Printed]]


def main(argv: Sequence[str]) -> int:
    """Run a command; the exit code."""
    options = _parser().parse_args(argv)
    if options.group == "config-example":
        print(example(), end="")
        return 0
    try:
        _ask(options)
        config = load_config(options.config, os.environ, _flags(options))
        if options.group == "db":
            migrate(config.database_url, options.revision)
            return 0
        printed = asyncio.run(_run(Server(config), options))
    except (AdminError, ConfigError, StorageError, MatrixError) as error:
        print(f"tidings admin: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for each in printed:
        print(msgspec.json.encode(each).decode() if options.json else _line(each))
    return 0


async def _run(server: Server, options: argparse.Namespace) -> Printed:
    command: Command = options.command
    try:
        await server.open()
        await _check_server_name(server)
        return await command(server, options)
    finally:
        await server.close()


async def _check_server_name(server: Server) -> None:
    """An account of another server name could never log in."""
    for account in (await server.accounts.everyone())[:1]:
        theirs, ours = server_name_of(account.user_id), server.config.server_name
        if theirs != ours:
            raise AdminError(f"this database belongs to {theirs}, not {ours}: see --server-name")


async def create_user(server: Server, options: argparse.Namespace) -> Printed:
    """`user create`: make an account."""
    user_id = await server.registration.check_username(options.name)
    server.registration.check_password(options.password)
    await server.registration.register(
        NewAccount(user_id, options.password, is_admin=options.admin)
    )
    return [_user(await server.accounts.get(user_id))]


async def list_users(server: Server, _: argparse.Namespace) -> Printed:
    """`user list`: every account."""
    return [_user(row) for row in await server.accounts.everyone()]


async def set_password(server: Server, options: argparse.Namespace) -> Printed:
    """`user set-password`: let another password open an account."""
    account = await server.accounts.get_active(_user_id(server, options.name))
    server.accounts.check_password(options.password)
    if options.keep_devices:
        await server.accounts.change_password(account.user_id, options.password)
    else:
        await server.accounts.replace_password(account.user_id, options.password)
    return [_user(account)]


async def deactivate_user(server: Server, options: argparse.Namespace) -> Printed:
    """`user deactivate`: end an account for good."""
    account = await server.accounts.get(_user_id(server, options.name))
    await server.accounts.deactivate(account.user_id)
    return [msgspec.structs.replace(_user(account), is_deactivated=True)]


async def create_token(server: Server, options: argparse.Namespace) -> Printed:
    """`registration-token create`: let people register."""
    now = now_ms()
    expires_ts = None if options.hours is None else now + int(options.hours * HOUR_MS)
    token = options.token or new_registration_token()
    if not is_opaque_id(token, TOKEN_BYTES_MAX):
        raise AdminError("a token may have 64 characters: letters, digits and . _ = ~ -")
    row = RegistrationTokenRow(token, options.uses, 0, expires_ts, now)

    async def recipe(tx: WriteTx) -> None:
        if not await server.account_store.insert_registration_token(tx, row):
            raise AdminError(f"there is a registration token {row.token} already")

    await server.db.write(recipe)
    return [_token(row, now)]


async def list_tokens(server: Server, _: argparse.Namespace) -> Printed:
    """`registration-token list`: every registration token."""
    async with server.db.read() as tx:
        rows = await server.account_store.registration_tokens(tx)
    return [_token(row, now_ms()) for row in rows]


def _user_id(server: Server, name: str) -> UserId:
    if name.startswith("@"):
        return parse_user_id(name)
    return UserId(f"@{name.lower()}:{server.config.server_name}")


def _user(row: UserRow) -> User:
    return User(
        user_id=row.user_id,
        created_ts=row.created_ts,
        is_admin=bool(row.is_admin),
        is_guest=bool(row.is_guest),
        is_locked=bool(row.locked),
        is_deactivated=bool(row.deactivated),
    )


def _token(row: RegistrationTokenRow, now_ms: int) -> RegistrationToken:
    return RegistrationToken(
        row.token, row.completed, row.uses_allowed, row.expires_ts, row.is_valid(now_ms)
    )


def _line(each: User | RegistrationToken) -> str:
    if isinstance(each, User):
        marks = [
            name.removeprefix("is_")
            for name in ("is_admin", "is_guest", "is_locked", "is_deactivated")
            if getattr(each, name)
        ]
        return "  ".join([each.user_id, *marks])
    uses = "" if each.uses_allowed is None else f"/{each.uses_allowed}"
    return f"{each.token}  used {each.completed}{uses}{'' if each.is_valid else '  ended'}"


def _ask(options: argparse.Namespace) -> None:
    """Ask for what the command needs before anything is opened."""
    if options.needs_password:
        options.password = _password(options)
    if options.command is deactivate_user and not options.yes:
        if not sys.stdin.isatty():
            raise AdminError("deactivating cannot be undone: repeat with --yes")
        name = input(f"Deactivating cannot be undone. Type {options.name} to go on: ")
        if name.strip() != options.name:
            raise AdminError("cancelled")


def _password(options: argparse.Namespace) -> str:
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise AdminError("nobody can be asked for a password: give it with --password-stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise AdminError("the two passwords differ")
    return password


def _flags(options: argparse.Namespace) -> dict[str, object]:
    return {name: getattr(options, name) for name in ("data_dir", "database", "server_name")}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tidings admin", description="Administer the homeserver on this machine."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="the server's settings")
    common.add_argument("--data", dest="data_dir", metavar="DIR", help="the server's data folder")
    common.add_argument("--database", metavar="URL", help="postgresql://… instead of SQLite")
    common.add_argument("--server-name", metavar="NAME", help="the name in user ids")
    common.add_argument("--json", action="store_true", help="print JSON, one object a line")
    common.set_defaults(needs_password=False)
    groups = parser.add_subparsers(metavar="GROUP", required=True, dest="group")
    _add_users(groups.add_parser("user", help="accounts"), common)
    _add_tokens(groups.add_parser("registration-token", help="who may register"), common)
    _add_database(groups.add_parser("db", help="the shape of the database"), common)
    groups.add_parser("config-example", help="print an example of the settings file")
    return parser


def _add_database(group: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    summary = "Go back to an older shape, before an older version is started. Make a copy first."
    downgrade = verbs.add_parser("downgrade", description=summary, help=summary, parents=[common])
    downgrade.add_argument("revision", help="the older version's number, such as 0002")


def _add_users(group: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    verbs = group.add_subparsers(metavar="COMMAND", required=True)

    def add(verb: str, summary: str, command: Command) -> argparse.ArgumentParser:
        parser = verbs.add_parser(verb, help=summary, description=summary, parents=[common])
        parser.set_defaults(command=command)
        return parser

    def add_password(parser: argparse.ArgumentParser) -> None:
        parser.set_defaults(needs_password=True)
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )

    create = add("create", "Make an account.", create_user)
    create.add_argument("name", help="the local part of the user id: alice")
    create.add_argument("--admin", action="store_true", help="make it an administrator's")
    add_password(create)
    add("list", "List all accounts.", list_users)
    password = add("set-password", "Let another password open an account.", set_password)
    password.add_argument("name", help="alice or @alice:example.org")
    password.add_argument("--keep-devices", action="store_true", help="log no device out")
    add_password(password)
    end = add("deactivate", "End an account for good.", deactivate_user)
    end.add_argument("name", help="alice or @alice:example.org")
    end.add_argument("--yes", action="store_true", help="do not ask")


def _add_tokens(group: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    summary = "Make a token that lets people register."
    create = verbs.add_parser("create", help=summary, description=summary, parents=[common])
    create.set_defaults(command=create_token)
    create.add_argument("--token", help="the token itself, instead of a random one")
    create.add_argument("--uses", type=int, metavar="N", help="how many may register with it")
    create.add_argument("--hours", type=float, metavar="H", help="how long it is valid")
    summary = "List all registration tokens."
    listing = verbs.add_parser("list", help=summary, description=summary, parents=[common])
    listing.set_defaults(command=list_tokens)
