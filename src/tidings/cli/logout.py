"""End the login of a profile: the server forgets the device, this machine the token."""

import argparse

from tidings.cli.context import Context
from tidings.cli.exits import Exit
from tidings.client.accounts import log_out
from tidings.client.errors import LoginNeeded
from tidings.client.session import find_profile, remove_profile


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options: only the common ones."""


async def run(context: Context) -> int:
    """Log out there, then forget it here."""
    request = context.session
    known = find_profile(request.places, request.profile_name)
    async with await context.connect() as http:
        try:
            await log_out(http)
        except LoginNeeded:
            context.output.note("the server had ended this login already")
        user_id, token = http.user_id, http.require_login().access_token
    if known and known.access_token == token:
        remove_profile(request.places, request.profile_name)
    if context.as_json:
        context.output.json({"user_id": user_id, "logged_out": True})
    else:
        context.output.note(f"logged out {user_id}")
    return Exit.OK
