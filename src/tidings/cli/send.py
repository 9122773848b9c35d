"""Send a message to a room or a person.

ROOM is a room's id, #alias or name, or @somebody for a direct conversation. Without TEXT, or with
"-", the text is read from standard input. With TIDINGS_ROOM set, a single argument is the text.

For example:
  tidings send '#dev:example.org' "the build is green"
  make 2>&1 | tail -20 | tidings send Dev --notice
  tidings send @ann "lunch?" --txn lunch-2024-05-01      safe to repeat: it is sent once
"""

import argparse
import sys

from tidings.cli.context import Context, read_stdin
from tidings.cli.exits import Exit, UsageError
from tidings.client import content
from tidings.client.history import get_event
from tidings.client.http import Http
from tidings.client.messages import latest_in_thread, new_txn_id, send
from tidings.client.room_lookup import resolve_or_enter, with_own_server
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("room", nargs="?", metavar="ROOM", help="where to (else TIDINGS_ROOM)")
    parser.add_argument("text", nargs="?", metavar="TEXT", help='what; "-" reads standard input')
    parser.add_argument("--notice", action="store_true", help="as a program's message")
    parser.add_argument("--md", action="store_true", help="the text is Markdown")
    parser.add_argument("--mention", action="append", default=[], metavar="@USER", help="notify")
    parser.add_argument("--txn", metavar="KEY", help="with the same key again, nothing new is sent")
    parser.add_argument("--print-id", action="store_true", help="print the event id")
    parser.add_argument("--thread", metavar="ID", help="in the thread that this message began")
    relation = parser.add_mutually_exclusive_group()
    relation.add_argument("--reply", metavar="ID", help="as an answer to this message")
    relation.add_argument("--edit", metavar="ID", help="in place of this message of yours")


async def run(context: Context) -> int:
    """Send it."""
    options = context.options
    room, text = _room_and_text(context)
    if options.txn == "":
        raise UsageError("the key of --txn is empty", "an empty key would not make a retry safe")
    txn_id = options.txn or new_txn_id()
    async with await context.connect() as http:
        room_id = await resolve_or_enter(http, room)
        message = await _related(http, room_id, context, _message(context, text))
        message = content.with_mentions(
            message, [with_own_server(http, user) for user in options.mention]
        )
        event_id = await send(http, room_id, message, txn_id)
    if context.as_json:
        context.output.json({"room_id": room_id, "event_id": event_id, "txn_id": txn_id})
    elif options.print_id:
        context.output.line(event_id)
    return Exit.OK


def _room_and_text(context: Context) -> tuple[str, str]:
    room, text = context.options.room, context.options.text
    default_room = context.environment.get("TIDINGS_ROOM")
    if text is None and default_room:
        room, text = default_room, room
    if not room:
        raise UsageError("no room is named", "name one, or set TIDINGS_ROOM")
    if text is None and sys.stdin.isatty():
        raise UsageError("there is no text", f'give it: tidings send {room} "..."')
    body = _without_last_line_end(read_stdin()) if text in {None, "-"} else text
    if not body.strip():
        raise UsageError("the text is empty; nothing was sent")
    return room, body


def _without_last_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _message(context: Context, text: str) -> JsonObject:
    msgtype = "m.notice" if context.options.notice else "m.text"
    if not context.options.md:
        return content.text(text, msgtype)
    # Only --md pays for the Markdown parser's import.
    from tidings.client.markdown import to_html  # noqa: PLC0415

    return content.formatted(text, to_html(text), msgtype)


async def _related(
    http: Http, room_id: RoomId, context: Context, message: JsonObject
) -> JsonObject:
    """The message with its place: in a thread, as an answer, as a new version."""
    options = context.options
    if options.thread:
        latest = await latest_in_thread(http, room_id, options.thread)
        message = content.in_thread(message, options.thread, latest)
    if options.reply:
        answered = await get_event(http, room_id, options.reply)
        message = content.as_reply(message, options.reply)
        if (sender := str(answered.get("sender", ""))) != http.user_id:
            message = content.with_mentions(message, [sender])
    if options.edit:
        await get_event(http, room_id, options.edit)  # raises NotFound: an edit of nothing is lost
        message = content.as_edit(message, options.edit)
    return message
