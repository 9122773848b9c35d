"""Saying something in a room, and taking it back."""

import secrets

import msgspec

from tidings.client.history import Page
from tidings.client.http import Http, v1, v3
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import EventId, RoomId


class _Sent(msgspec.Struct, frozen=True):
    event_id: EventId


def new_txn_id() -> str:
    """A transaction id that no other request of this device has."""
    return secrets.token_urlsafe(12)


async def send(
    http: Http,
    room_id: RoomId,
    content: JsonObject,
    txn_id: str | None = None,
    event_type: str = "m.room.message",
) -> EventId:
    """Send an event; with the same transaction id again, the first event's id comes back."""
    path = v3("rooms", room_id, "send", event_type, txn_id or new_txn_id())
    return (await http.put(path, content, _Sent)).event_id


async def redact(http: Http, room_id: RoomId, event_id: EventId, reason: str = "") -> EventId:
    """Take an event's content away."""
    path = v3("rooms", room_id, "redact", event_id, new_txn_id())
    return (await http.put(path, {"reason": reason} if reason else {}, _Sent)).event_id


async def latest_in_thread(http: Http, room_id: RoomId, root_id: str) -> str:
    """The id of a thread's newest event; the root's own while there is no other."""
    path = v1("rooms", room_id, "relations", root_id, "m.thread")
    page = await http.get(path, Page, {"limit": 1})
    return str(page.chunk[0].get("event_id", root_id)) if page.chunk else root_id


async def mark_read(http: Http, room_id: RoomId, event_id: str) -> None:
    """Tell everybody that we have read this far."""
    await http.post(v3("rooms", room_id, "receipt", "m.read", event_id), {}, JsonObject)
