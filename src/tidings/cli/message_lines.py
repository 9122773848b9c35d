"""A message event as lines for a person and as a record for a program; pure.

The record's form is named by its `schema` and only ever grows.
"""

from datetime import UTC, datetime, tzinfo

from tidings.cli.output import BOLD, DIM, PLAIN, Piece
from tidings.cli.safe_text import safe_lines
from tidings.client.content import mentioned_users, relation_of, replied_event_of
from tidings.client.redactions import is_redacted
from tidings.client.state import content_of
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import localpart_of, server_name_of

SCHEMA = "tidings.message/1"
MESSAGE_TYPES: list[object] = ["m.room.message", "m.room.encrypted", "m.sticker"]
_FILES = {
    "m.image": "image",
    "m.file": "file",
    "m.audio": "audio",
    "m.video": "video",
    "m.location": "location",
}


def message_record(room_id: str, event: JsonObject) -> JsonObject:
    """The event for `--json`; what it does not have is null."""
    content = content_of(event)
    kind, target = relation_of(content)
    shown = _latest_content(content)
    return {
        "schema": SCHEMA,
        "room_id": room_id,
        "event_id": event.get("event_id"),
        "time": rfc3339(event.get("origin_server_ts")),
        "sender": event.get("sender"),
        "type": event.get("type"),
        "msgtype": shown.get("msgtype"),
        "body": shown.get("body"),
        "reply_to": replied_event_of(content) or None,
        "thread": target if kind == "m.thread" else None,
        "edits": target if kind == "m.replace" else None,
        "mentions": mentioned_users(shown),
        "redacted": is_redacted(event),
        "content": content,
    }


def message_lines(
    event: JsonObject, own_server: str, zone: tzinfo | None = None
) -> list[list[Piece]]:
    """The event for reading: further lines are indented, so that none can pass for a message."""
    first, *rest = safe_lines(_text(event))
    time = _local_time(event.get("origin_server_ts"), zone)
    lines: list[list[Piece]] = [[(time, DIM), (_speaker(event, own_server), BOLD), (first, PLAIN)]]
    lines.extend([("   ", PLAIN), (line, PLAIN)] for line in rest)
    return lines


def _speaker(event: JsonObject, own_server: str) -> str:
    """Who spoke: the id, short when it is of our own server; names could be anybody's."""
    sender = str(event.get("sender", ""))
    if server_name_of(sender) == own_server:
        sender = f"@{localpart_of(sender)}"
    return f"* {sender}" if content_of(event).get("msgtype") == "m.emote" else f"{sender}:"


def _text(event: JsonObject) -> str:
    if is_redacted(event):
        return "[removed]"
    if event.get("type") == "m.room.encrypted":
        return "[encrypted: this client cannot read it yet]"
    content = content_of(event)
    shown = _latest_content(content)
    body = shown.get("body")
    text = body if isinstance(body, str) else ""
    if label := _FILES.get(str(shown.get("msgtype"))):
        text = f"[{label}] {text}"
    return f"{text} (edited)" if shown is not content else text


def _latest_content(content: JsonObject) -> JsonObject:
    """What an edit says; the content itself of any other message."""
    new = content.get("m.new_content")
    return new if relation_of(content)[0] == "m.replace" and isinstance(new, dict) else content


def rfc3339(timestamp_ms: object) -> str | None:
    """A time for programs, in UTC."""
    moment = _moment(timestamp_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def _local_time(timestamp_ms: object, zone: tzinfo | None) -> str:
    moment = _moment(timestamp_ms)
    return (
        moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if moment else "????-??-?? ??:??:??"
    )


def _moment(timestamp_ms: object) -> datetime | None:
    """The moment; None for what no clock can show (other servers' clocks are their own affair)."""
    if not isinstance(timestamp_ms, int):
        return None
    try:
        return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
