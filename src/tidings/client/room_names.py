"""What a room and a person are called, as every client should call them.

Source: client-server API, "Calculating the display name for a room" and "... for a user".
"""

from collections import Counter

from tidings.client.state import Room, content_of

_HEROES_SHOWN_MAX = 5


def room_name(room: Room, own_user_id: str) -> str:
    """The room's name, its alias, or its people."""
    return (
        _text(room, "m.room.name", "name")
        or _text(room, "m.room.canonical_alias", "alias")
        or _name_from_people(room, own_user_id)
    )


def _text(room: Room, event_type: str, key: str) -> str:
    value = content_of(room.state.get((event_type, ""), {})).get(key)
    return value.strip() if isinstance(value, str) else ""


def member_name(room: Room, user_id: str) -> str:
    """A member's display name; with the user id if another member has the same name."""
    name = _display_name(room, user_id)
    if name == user_id:
        return user_id
    is_taken = any(
        other != user_id and _display_name(room, other) == name for other in present_members(room)
    )
    return f"{name} ({user_id})" if is_taken else name


def _display_name(room: Room, user_id: str) -> str:
    member = content_of(room.state.get(("m.room.member", user_id), {}))
    name = member.get("displayname")
    return name.strip() or user_id if isinstance(name, str) else user_id


def present_members(room: Room) -> list[str]:
    """Members known to us who are in the room or invited."""
    return [
        state_key
        for (event_type, state_key), event in room.state.items()
        if event_type == "m.room.member"
        and content_of(event).get("membership") in {"join", "invite"}
    ]


def _name_from_people(room: Room, own_user_id: str) -> str:
    heroes = _heroes(room, own_user_id)
    shown = _disambiguated(room, heroes[:_HEROES_SHOWN_MAX])
    others = max(_member_count(room) - 1, 0)
    if others == 0:
        return f"Empty room (was {_listed(shown, 0)})" if shown else "Empty room"
    return _listed(shown, max(others - len(shown), 0)) if shown else f"{others} others"


def _heroes(room: Room, own_user_id: str) -> list[str]:
    named = room.summary.get("m.heroes")
    if isinstance(named, list):
        return [str(user_id) for user_id in named if user_id != own_user_id]
    # COMPAT: without a summary (invites, old servers) the members we know of must do.
    return sorted(user_id for user_id in present_members(room) if user_id != own_user_id)


def _member_count(room: Room) -> int:
    counts = (
        room.summary.get("m.joined_member_count"),
        room.summary.get("m.invited_member_count"),
    )
    if counts == (None, None):
        return len(present_members(room))
    return sum(count for count in counts if isinstance(count, int))


def _disambiguated(room: Room, user_ids: list[str]) -> list[str]:
    names = [_display_name(room, user_id) for user_id in user_ids]
    times = Counter(names)
    return [
        name if times[name] == 1 or name == user_id else f"{name} ({user_id})"
        for name, user_id in zip(names, user_ids, strict=True)
    ]


def _listed(names: list[str], others: int) -> str:
    if others:
        return f"{', '.join(names)} and {others} {'other' if others == 1 else 'others'}"
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} and {names[-1]}"
