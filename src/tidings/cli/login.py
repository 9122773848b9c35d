"""Log in to a homeserver, or register there.

For example:
  tidings login example.org
  tidings login http://localhost:8008 --register --user ann
  pass matrix | tidings login example.org --user ann --password-stdin
"""

import argparse
import socket

from tidings.cli.context import Context, read_stdin_line
from tidings.cli.exits import Exit, UsageError
from tidings.client.accounts import Credentials, log_in, register
from tidings.client.discovery import discover
from tidings.client.http import Http, Login
from tidings.client.session import Profile, find_profile, log_in_with_token, save_profile
from tidings.protocol.ids import DeviceId, localpart_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("server", nargs="?", help="a server name, or http(s)://host:port")
    parser.add_argument("--user", metavar="NAME", help="your name there, or @name:server")
    parser.add_argument("--register", action="store_true", help="make a new account")
    parser.add_argument("--registration-token", metavar="TOKEN", help="if the server asks for one")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--password-stdin", action="store_true", help="read the password's line")
    secret.add_argument("--token-stdin", action="store_true", help="read an access token's line")


async def run(context: Context) -> int:
    """Log in and remember it."""
    profile_name = context.session.profile_name
    base_url = await discover(_server(context), context.session.surroundings)
    login = await _authenticate(context, base_url)
    profile = Profile(base_url, login.user_id, login.device_id, login.access_token)
    save_profile(context.session.places, profile_name, profile)
    if context.as_json:
        shown = {"user_id": login.user_id, "device_id": login.device_id, "server": base_url}
        context.output.json({**shown, "profile": profile_name})
    else:
        context.output.note(f"logged in as {login.user_id} (profile {profile_name!r})")
    if context.environment.get("TIDINGS_TOKEN"):
        context.output.note("TIDINGS_TOKEN is set: until you unset it, it is used instead")
    return Exit.OK


def _server(context: Context) -> str:
    options = context.options
    named: str | None = options.server or context.environment.get("TIDINGS_SERVER")
    if named:
        return named
    if options.user and ":" in options.user:
        return str(options.user)
    return context.ask("server", "name it: tidings login SERVER")


async def _authenticate(context: Context, base_url: str) -> Login:
    if context.options.token_stdin:
        async with await log_in_with_token(context.session, base_url, read_stdin_line()) as http:
            return http.require_login()
    who = _credentials(context, base_url)
    async with Http(base_url, None, context.session.patience, context.session.surroundings) as http:
        return await (register(http, who) if context.options.register else log_in(http, who))


def _credentials(context: Context, base_url: str) -> Credentials:
    options = context.options
    user = str(options.user or context.ask("user name", "name it with --user NAME"))
    return Credentials(
        user=localpart_of(user) if options.register and user.startswith("@") else user,
        password=_password(context),
        device_name=f"tidings on {socket.gethostname()}",
        device_id=None if options.register else _known_device(context, base_url, user),
        registration_token=options.registration_token,
    )


def _password(context: Context) -> str:
    if context.options.password_stdin:
        return read_stdin_line()
    password = context.ask_password("password")
    if context.options.register and context.ask_password("password once more") != password:
        raise UsageError("the two passwords differ; nothing was done")
    return password


def _known_device(context: Context, base_url: str, user: str) -> DeviceId | None:
    """The device of an earlier login by the same person, so that none is left behind."""
    known = find_profile(context.session.places, context.session.profile_name)
    if known is None or known.base_url != base_url:
        return None
    is_same = user in {known.user_id, localpart_of(known.user_id)}
    return known.device_id if is_same else None
