"""Messages on standard output, in the form that was asked for."""

from tidings.cli.context import Context
from tidings.cli.message_lines import message_lines, message_record
from tidings.cli.output import DIM
from tidings.protocol.events import JsonObject


def print_message(
    context: Context, room_id: str, event: JsonObject, own_server: str, label: str = ""
) -> None:
    """One message; the label names its room where several are shown."""
    if context.as_json:
        context.output.json(message_record(room_id, event))
        return
    for line in message_lines(event, own_server):
        context.output.line(*([(label, DIM)] if label else []), *line)
