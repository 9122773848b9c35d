"""A tiny homeserver in memory, seen by one person: the reference for folding sync answers."""

from collections.abc import Callable

from hypothesis import strategies as st

from tidings.protocol.events import JsonObject
from tidings.protocol.room_versions import get_room_version
from tidings.rules.redaction import redact

ME = "@me:example.org"
ROOMS = ("!one:example.org", "!two:example.org")
VERSION = get_room_version("11")
Action = tuple[str, str, str, int]
"""What happens, in which room, to what (a type, a person), and a number to vary it."""

SYNC = "sync"
_KINDS = ("message", "state", "redact", "receipt", "typing", "room_data", "data", "member", SYNC)


def actions() -> st.SearchStrategy[list[Action]]:
    """Random histories."""
    return st.lists(
        st.tuples(
            st.sampled_from(_KINDS),
            st.sampled_from(ROOMS),
            st.sampled_from(("a", "b")),
            st.integers(0, 5),
        ),
        min_size=15,
        max_size=60,
    )


class WorldRoom:
    """A room's events with their positions, and the latest of everything else."""

    def __init__(self) -> None:
        self.events: list[tuple[int, JsonObject]] = []
        self.receipts: dict[str, tuple[int, str]] = {}
        self.typing: tuple[int, list[str]] = (0, [])
        self.account_data: dict[str, tuple[int, JsonObject]] = {}
        self.memberships: list[tuple[int, str]] = [(0, "leave")]

    def membership_at(self, position: int | None) -> str:
        """Mine at a position; before the first sync, none."""
        if position is None:
            return "leave"
        return [membership for at, membership in self.memberships if at <= position][-1]


class World:
    """Everything, in the order of one position."""

    def __init__(self) -> None:
        self.position = 0
        self.rooms = {room_id: WorldRoom() for room_id in ROOMS}
        self.account_data: dict[str, tuple[int, JsonObject]] = {}
        for room_id in ROOMS:
            self._append(room_id, "m.room.create", {"room_version": "11"}, "")
            self._member(room_id, "join")

    def do(self, action: Action) -> None:
        """Let something happen."""
        kind, room_id, name, number = action
        room = self.rooms[room_id]
        if kind == SYNC:
            return
        is_mine = room.membership_at(self.position) == "join"
        acts: dict[str, Callable[[], None]] = {
            "message": lambda: self._append(room_id, "m.room.message", {"body": f"{number}"}),
            "state": lambda: self._append(room_id, "org.state", {"value": number}, name),
            "redact": lambda: self._redact(room_id, number),
            "receipt": lambda: self._receipt(room, name, number),
            "typing": lambda: self._typing(room, name if number else ""),
            "room_data": lambda: self._data(room.account_data, name, number),
            "data": lambda: self._data(self.account_data, name, number),
            "member": lambda: self._member(room_id, ("join", "invite", "leave")[number % 3]),
        }
        # What does not belong to the timeline is told to members only, so it happens to them.
        if is_mine or kind in {"message", "state", "redact", "data", "member"}:
            acts[kind]()

    def _append(
        self, room_id: str, event_type: str, content: JsonObject, state_key: str | None = None
    ) -> None:
        self.position += 1
        event: JsonObject = {
            "type": event_type,
            "event_id": f"${self.position}",
            "sender": "@other:example.org",
            "origin_server_ts": self.position,
            "content": content,
        }
        if state_key is not None:
            event["state_key"] = state_key
        self.rooms[room_id].events.append((self.position, event))

    def _member(self, room_id: str, membership: str) -> None:
        if membership == "invite" and self.rooms[room_id].membership_at(self.position) == "join":
            return
        self._append(room_id, "m.room.member", {"membership": membership}, ME)
        self.rooms[room_id].memberships.append((self.position, membership))

    def _redact(self, room_id: str, back: int) -> None:
        events = self.rooms[room_id].events
        target = events[-1 - back % len(events)][1]
        if target["type"] != "m.room.create":
            self._append(room_id, "m.room.redaction", {"redacts": target["event_id"]})

    def _receipt(self, room: WorldRoom, name: str, back: int) -> None:
        self.position += 1
        target = room.events[-1 - back % len(room.events)][1]
        room.receipts[f"@{name}:example.org"] = (self.position, str(target["event_id"]))

    def _typing(self, room: WorldRoom, name: str) -> None:
        self.position += 1
        room.typing = (self.position, [f"@{name}:example.org"] if name else [])

    def _data(self, where: dict[str, tuple[int, JsonObject]], name: str, number: int) -> None:
        self.position += 1
        where[f"org.data.{name}"] = (self.position, {"value": number})

    def sync(self, since: int | None, limit: int) -> JsonObject:
        """What a correct server answers."""
        rooms: dict[str, JsonObject] = {"join": {}, "invite": {}, "leave": {}}
        for room_id, room in self.rooms.items():
            now, then = room.membership_at(self.position), room.membership_at(since)
            if now == "join":
                rooms["join"][room_id] = _joined(room, since if then == "join" else None, limit)
            elif now == "invite" and (then != "invite" or room.memberships[-1][0] > (since or 0)):
                rooms["invite"][room_id] = _invitation(room)
            elif now == "leave" and then != "leave":
                base = since if then == "join" else None
                rooms["leave"][room_id] = {"timeline": _timeline(room, base, limit)}
        data = [(k, at, content) for k, (at, content) in self.account_data.items()]
        return {
            "next_batch": f"s{self.position}",
            "rooms": rooms,
            "account_data": {
                "events": [{"type": k, "content": c} for k, at, c in data if at > (since or 0)]
            },
        }


def _served(room: WorldRoom, event: JsonObject) -> JsonObject:
    """The event as it is now: without its content if it was redacted."""
    for _, other in room.events:
        if other["content"] == {"redacts": event["event_id"]}:
            return {**redact(event, VERSION), "unsigned": {"redacted_because": other}}
    return event


def _invitation(room: WorldRoom) -> JsonObject:
    """What was told when the invitation came, whatever happened since."""
    invitations = [event for _, event in room.events if event["type"] == "m.room.member"]
    return {"invite_state": {"events": invitations[-1:]}}


def _timeline(room: WorldRoom, since: int | None, limit: int) -> JsonObject:
    new = [event for at, event in room.events if at > (since or 0)]
    return {
        "events": [_served(room, event) for event in new[-limit:]],
        "limited": len(new) > limit or since is None,
        "prev_batch": "p",
    }


def _state_changes(room: WorldRoom, after: int, before: int) -> list[JsonObject]:
    """State that changed in between; also by a redaction the reader will not be told of."""
    earlier = [(at, event) for at, event in room.events if at < before]
    redacted = {str(event["content"]) for at, event in earlier if at > after}
    latest = {
        (event["type"], event["state_key"]): (at, event)
        for at, event in earlier
        if "state_key" in event
    }
    return [
        _served(room, event)
        for at, event in latest.values()
        if at > after or str({"redacts": event["event_id"]}) in redacted
    ]


def _joined(room: WorldRoom, since: int | None, limit: int) -> JsonObject:
    new = [at for at, _ in room.events if at > (since or 0)]
    start = new[-limit:][0] if new else 0
    ephemeral: list[JsonObject] = []
    if room.typing[0] > (since or 0) and (room.typing[1] or since is not None):
        ephemeral.append({"type": "m.typing", "content": {"user_ids": room.typing[1]}})
    receipts: JsonObject = {}
    for user_id, (at, event_id) in room.receipts.items():
        if at > (since or 0):
            by_type = receipts.setdefault(event_id, {"m.read": {}})
            assert isinstance(by_type, dict)
            by_type["m.read"][user_id] = {"ts": at}
    ephemeral.append({"type": "m.receipt", "content": receipts})
    data = room.account_data.items()
    return {
        "timeline": _timeline(room, since, limit) if new else {},
        "state": {"events": _state_changes(room, since or 0, start)},
        "ephemeral": {"events": ephemeral},
        "account_data": {
            "events": [{"type": k, "content": c} for k, (at, c) in data if at > (since or 0)]
        },
        "unread_notifications": {"notification_count": len(room.events)},
        "summary": {"m.joined_member_count": len(room.memberships)},
    }
