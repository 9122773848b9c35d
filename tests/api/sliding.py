"""A client of sliding sync, as tests drive it."""

from collections.abc import Mapping
from typing import Any

from tests.api.chat import done
from tests.api.server import Person

PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
NAMES = [["m.room.create", ""], ["m.room.name", ""]]


def window(
    last: int = 19, limit: int = 5, state: object = NAMES, /, **filters: object
) -> dict[str, object]:
    """A list of the newest rooms."""
    return {
        "ranges": [[0, last]],
        "timeline_limit": limit,
        "required_state": state,
        "filters": filters,
    }


def subscription(limit: int = 20, state: object = NAMES) -> dict[str, object]:
    return {"timeline_limit": limit, "required_state": state}


class Slider:
    """One connection; it keeps its lists and goes on from its last position."""

    def __init__(self, person: Person, conn_id: str = "main", **lists: object) -> None:
        self.person = person
        self.conn_id = conn_id
        self.lists: Mapping[str, object] = lists
        self.extensions: dict[str, object] = {}
        self.pos: str | None = None
        self.answer: dict[str, Any] = {}

    async def slide(self, timeout_ms: int = 0, **more: object) -> dict[str, Any]:
        """Ask for news; the rooms in the answer."""
        query = f"?timeout={timeout_ms}" + (f"&pos={self.pos}" if self.pos else "")
        body = {
            "conn_id": self.conn_id,
            "lists": self.lists,
            "extensions": self.extensions,
            **more,
        }
        self.answer = await done(self.person.post(f"{PATH}{query}", body))
        self.pos = self.answer["pos"]
        rooms: dict[str, Any] = self.answer.get("rooms", {})
        return rooms

    def count(self, name: str) -> int:
        count: int = self.answer["lists"][name]["count"]
        return count


def bodies(room: Mapping[str, Any]) -> list[str]:
    """The texts of a room's timeline."""
    events = room.get("timeline", [])
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


def state_of(room: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The keys of a room's required state."""
    return {(event["type"], event["state_key"]) for event in room.get("required_state", [])}
