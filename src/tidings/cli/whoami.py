"""Who you are, where and by which profile; the server is asked."""

import argparse

from tidings.cli.context import Context
from tidings.cli.exits import Exit
from tidings.client.accounts import who_am_i


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options: only the common ones."""


async def run(context: Context) -> int:
    """Ask and print."""
    async with await context.connect() as http:
        owner = await who_am_i(http)
        server = http.base_url
    profile = None if context.environment.get("TIDINGS_TOKEN") else context.session.profile_name
    if context.as_json:
        shown = {"user_id": owner.user_id, "device_id": owner.device_id or None}
        context.output.json({**shown, "server": server, "profile": profile})
        return Exit.OK
    context.output.line(owner.user_id)
    source = f"profile {profile}" if profile else "TIDINGS_TOKEN"
    context.output.note(f"device {owner.device_id or 'none'}, server {server}, {source}")
    return Exit.OK
