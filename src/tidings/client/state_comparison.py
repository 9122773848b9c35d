"""Two client states side by side: in this form a fold and a fresh initial sync are the same."""

import msgspec

from tidings.client.state import ClientState, Room, content_of
from tidings.protocol.events import JsonObject

_EVENT_FIELDS = ("type", "state_key", "sender", "event_id", "origin_server_ts")


def normalise(state: ClientState, timeline_events_max: int = 10) -> JsonObject:
    """Plain sorted data that is equal for any two ways of learning the same thing.

    Left rooms go, since a fresh sync does not tell of them; so do the token, and what the server
    adds to an event for one reader (`unsigned`). Timelines are cut to their latest events.
    """
    return {
        "rooms": {
            room_id: _normalise_room(room, timeline_events_max)
            for room_id, room in sorted(state.rooms.items())
            if room.membership != "leave"
        },
        "account_data": dict(sorted(state.account_data.items())),
        "presence": dict(sorted(state.presence.items())),
    }


def _normalise_room(room: Room, timeline_events_max: int) -> JsonObject:
    return {
        "membership": room.membership,
        "state": {"\0".join(key): _normalise_event(e) for key, e in sorted(room.state.items())},
        "timeline": [_normalise_event(e) for e in room.timeline[-timeline_events_max:]],
        "account_data": dict(sorted(room.account_data.items())),
        "receipts": {
            "\0".join(key): msgspec.to_builtins(receipt)
            for key, receipt in sorted(room.receipts.items())
        },
        "typing": sorted(room.typing),
        "unread": msgspec.to_builtins(room.unread),
        "unread_threads": {
            thread_id: msgspec.to_builtins(counts)
            for thread_id, counts in sorted(room.unread_threads.items())
            if counts.notification_count or counts.highlight_count
        },
        "summary": dict(sorted(room.summary.items())),
    }


def _normalise_event(event: JsonObject) -> JsonObject:
    known = {field: event[field] for field in _EVENT_FIELDS if field in event}
    return {**known, "content": content_of(event)}
