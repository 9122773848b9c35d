"""The children of a space, in order. Source: client-server API, "Spaces"."""

import re
from collections.abc import Iterable

from tidings.protocol.events import Event
from tidings.protocol.ids import RoomId
from tidings.rules.room_state import RoomState

CHILD = "m.space.child"
_ORDER = re.compile(r"[\x20-\x7e]{1,50}")


def is_space(state: RoomState) -> bool:
    """Whether the room is a space."""
    create = state.get("m.room.create", "")
    return create is not None and create.content.get("type") == "m.space"


def children_in_order(events: Iterable[Event], *, suggested_only: bool = False) -> list[Event]:
    """The events that name children, of a room's state; one without `via` names none."""
    children = [event for event in events if event.type == CHILD and _names_a_room(event)]
    if suggested_only:
        children = [event for event in children if event.content.get("suggested") is True]
    return sorted(children, key=_place)


def child_of(event: Event) -> RoomId:
    """The room that a child event names."""
    return RoomId(event.state_key or "")


def _names_a_room(event: Event) -> bool:
    via = event.content.get("via")
    servers = via if isinstance(via, list) else []
    return any(isinstance(server, str) for server in servers) and child_of(event).startswith("!")


def _place(event: Event) -> tuple[bool, str, int, str]:
    order = event.content.get("order")
    is_ordered = isinstance(order, str) and _ORDER.fullmatch(order) is not None
    key = order if is_ordered and isinstance(order, str) else ""
    return (not is_ordered, key, event.origin_server_ts, child_of(event))
