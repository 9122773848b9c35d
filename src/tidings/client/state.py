"""What a client knows, as a value: the fold of every answer to /sync since the first.

Law: `apply` is pure and total. Nothing is asked, nothing is waited for, the old state stays as it
was, and an event that makes no sense is passed over instead of stopping the fold.
The law a server is tested by: folding incremental answers gives what a fresh initial sync gives;
`normalise` brings two states into the form in which they are compared.
"""

import msgspec

from tidings.client.redactions import find_redactions, redacted
from tidings.client.sync_response import (
    EventList,
    JoinedRoom,
    LeftRoom,
    SyncResponse,
    Timeline,
    UnreadCounts,
    parse_sync,
)
from tidings.protocol.events import JsonObject

TIMELINE_EVENTS_MAX = 1000
"""A room keeps no more; older ones are a /messages request away."""

StateKey = tuple[str, str]
ReceiptKey = tuple[str, str, str]
"""Receipt type, user, thread ("main", a root event id, or "" for unthreaded)."""


class Chunk(msgspec.Struct, frozen=True):
    """Events that came together; `prev_batch` leads to what was before them."""

    events: tuple[JsonObject, ...]
    prev_batch: str | None


class Receipt(msgspec.Struct, frozen=True):
    """How far somebody has read."""

    event_id: str
    ts: int


class Room(msgspec.Struct, frozen=True):
    """One room as we see it."""

    membership: str
    """Ours: join, invite, knock or leave."""
    state: dict[StateKey, JsonObject] = {}
    """The current state events; stripped ones while invited or knocking."""
    chunks: tuple[Chunk, ...] = ()
    """The timeline's latest part without a gap, oldest first."""
    account_data: dict[str, JsonObject] = {}
    receipts: dict[ReceiptKey, Receipt] = {}
    typing: tuple[str, ...] = ()
    unread: UnreadCounts = UnreadCounts()
    unread_threads: dict[str, UnreadCounts] = {}
    summary: JsonObject = {}

    @property
    def timeline(self) -> list[JsonObject]:
        """The events, oldest first."""
        return [event for chunk in self.chunks for event in chunk.events]

    @property
    def prev_batch(self) -> str | None:
        """Where the history before the timeline begins; None when there is none, or none known."""
        return self.chunks[0].prev_batch if self.chunks else None


class ClientState(msgspec.Struct, frozen=True):
    """All rooms and everything that belongs to no room."""

    since: str | None = None
    rooms: dict[str, Room] = {}
    account_data: dict[str, JsonObject] = {}
    presence: dict[str, JsonObject] = {}


def apply(state: ClientState, response: JsonObject) -> ClientState:
    """The state after one more answer to /sync, given as decoded JSON."""
    return fold(state, parse_sync(response))


def fold(state: ClientState, response: SyncResponse) -> ClientState:
    """The state after one more answer to /sync."""
    return ClientState(
        since=response.next_batch,
        rooms=_fold_rooms(state.rooms, response),
        account_data=_fold_contents(state.account_data, response.account_data, "type"),
        presence=_fold_contents(state.presence, response.presence, "sender"),
    )


def _fold_rooms(rooms: dict[str, Room], response: SyncResponse) -> dict[str, Room]:
    news = response.rooms
    after = dict(rooms)
    for room_id, joined in news.join.items():
        after[room_id] = _fold_joined(rooms.get(room_id), joined)
    for room_id, left in news.leave.items():
        after[room_id] = _fold_left(rooms.get(room_id), left)
    for room_id, invited in news.invite.items():
        after[room_id] = Room("invite", state=_fold_state({}, invited.invite_state.events))
    for room_id, knocked in news.knock.items():
        after[room_id] = Room("knock", state=_fold_state({}, knocked.knock_state.events))
    return after


def _fold_joined(before: Room | None, news: JoinedRoom) -> Room:
    room = _entered(before)
    state, chunks = _fold_events(room, news)
    has_counts = news.unread_notifications is not None
    return Room(
        membership="join",
        state=state,
        chunks=chunks,
        account_data=_fold_contents(room.account_data, news.account_data, "type"),
        receipts=_fold_receipts(room.receipts, news.ephemeral),
        typing=_fold_typing(room.typing, news.ephemeral),
        unread=news.unread_notifications or room.unread,
        # A thread without unread events may be left out, and all of them if none has any.
        unread_threads=news.unread_thread_notifications if has_counts else room.unread_threads,
        summary={**room.summary, **news.summary},
    )


def _entered(before: Room | None) -> Room:
    """The room to add to: what was known from outside, or from an earlier stay, is out of date."""
    if before is None:
        return Room("join")
    if before.membership == "join":
        return before
    return Room("join", account_data=before.account_data)


def _fold_left(before: Room | None, news: LeftRoom) -> Room:
    room = before if before and before.membership in {"join", "leave"} else Room("leave")
    state, chunks = _fold_events(room, news)
    return Room(
        membership="leave",
        state=state,
        chunks=chunks,
        account_data=_fold_contents(room.account_data, news.account_data, "type"),
        receipts=room.receipts,
        summary=room.summary,
    )


def _fold_events(
    room: Room, news: JoinedRoom | LeftRoom
) -> tuple[dict[StateKey, JsonObject], tuple[Chunk, ...]]:
    state = _state_after(room, news)
    chunks = _fold_timeline(room.chunks, news.timeline)
    redactions = find_redactions(news.timeline.events)
    if not redactions:
        return state, chunks
    version = content_of(state.get(("m.room.create", ""), {})).get("room_version")
    return (
        {key: redacted(event, redactions, version) for key, event in state.items()},
        tuple(
            Chunk(tuple(redacted(e, redactions, version) for e in chunk.events), chunk.prev_batch)
            for chunk in chunks
        ),
    )


def _state_after(room: Room, news: JoinedRoom | LeftRoom) -> dict[StateKey, JsonObject]:
    """State changes: `state` comes before the timeline, `state_after` replaces both readings."""
    if news.state_after is not None:
        return _fold_state(room.state, news.state_after.events)
    return _fold_state(room.state, [*news.state.events, *news.timeline.events])


def _fold_state(
    state: dict[StateKey, JsonObject], events: list[JsonObject]
) -> dict[StateKey, JsonObject]:
    changes = {key: event for event in events if (key := find_state_key(event))}
    return {**state, **changes} if changes else state


def find_state_key(event: JsonObject) -> StateKey | None:
    """The key of a state event; None for any other event."""
    event_type, state_key = event.get("type"), event.get("state_key")
    if isinstance(event_type, str) and isinstance(state_key, str):
        return (event_type, state_key)
    return None


def _fold_timeline(before: tuple[Chunk, ...], news: Timeline) -> tuple[Chunk, ...]:
    if not news.events and not news.limited:
        return before
    latest = Chunk(tuple(news.events), news.prev_batch)
    if news.limited:
        return (latest,)  # what lies between is unknown: only the part after the gap is kept
    return _trim((*before, latest))


def _trim(chunks: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
    excess = sum(len(chunk.events) for chunk in chunks) - TIMELINE_EVENTS_MAX
    dropped = 0
    while excess > 0 and dropped < len(chunks) - 1:
        excess -= len(chunks[dropped].events)
        dropped += 1
    return chunks[dropped:]


def _fold_contents(
    before: dict[str, JsonObject], news: EventList, key: str
) -> dict[str, JsonObject]:
    changes = {
        name: content
        for event in news.events
        if isinstance(name := event.get(key), str)
        and isinstance(content := event.get("content"), dict)
    }
    return {**before, **changes} if changes else before


def content_of(event: JsonObject) -> JsonObject:
    """An event's content; empty if it is not an object."""
    content = event.get("content")
    return content if isinstance(content, dict) else {}


def _fold_typing(before: tuple[str, ...], ephemeral: EventList) -> tuple[str, ...]:
    for event in reversed(ephemeral.events):
        if event.get("type") == "m.typing":
            user_ids = content_of(event).get("user_ids")
            return tuple(map(str, user_ids)) if isinstance(user_ids, list) else ()
    return before


class _ReceiptBody(msgspec.Struct, frozen=True):
    ts: int = 0
    thread_id: str = ""


_ReceiptContent = dict[str, dict[str, dict[str, _ReceiptBody]]]


def _fold_receipts(
    before: dict[ReceiptKey, Receipt], ephemeral: EventList
) -> dict[ReceiptKey, Receipt]:
    changes: dict[ReceiptKey, Receipt] = {}
    for event in ephemeral.events:
        if event.get("type") == "m.receipt":
            changes.update(_receipts_in(content_of(event)))
    return {**before, **changes} if changes else before


def _receipts_in(content: JsonObject) -> dict[ReceiptKey, Receipt]:
    try:
        by_event = msgspec.convert(content, _ReceiptContent)
    except msgspec.ValidationError:
        return {}
    return {
        (receipt_type, user_id, body.thread_id): Receipt(event_id, body.ts)
        for event_id, by_type in by_event.items()
        for receipt_type, by_user in by_type.items()
        for user_id, body in by_user.items()
    }
