"""Who may change whose membership to what.

Source: room version 12, authorisation rule 5; the same in versions 10 and 11.
"""

from collections.abc import Callable, Mapping

from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Draft, Event
from tidings.protocol.ids import is_user_id, server_name_of
from tidings.protocol.room_versions import RoomVersion
from tidings.rules.power_levels import creators_of
from tidings.rules.room_state import RoomState, join_rule_of, membership_of


def check_member(draft: Draft, state: RoomState) -> None:
    """Raise Forbidden unless the `m.room.member` event is allowed."""
    target = draft.state_key
    if target is None or not is_user_id(target):
        raise Forbidden("A membership event must name a user in its state key")
    membership = draft.content.get("membership")
    check = _CHECKS.get(membership) if isinstance(membership, str) else None
    if check is None:
        raise Forbidden("The membership must be join, invite, leave, ban or knock")
    if "join_authorised_via_users_server" in draft.content:
        _check_authorising_server(draft)
    check(draft, target, state)


def is_creators_first_join(draft: Draft, create: Event, version: RoomVersion) -> bool:
    """Whether the event is the one with which a room's maker enters the empty room."""
    if version.creator_in_content:
        return draft.state_key in creators_of(create, version)
    return draft.state_key == create.sender


def _check_authorising_server(draft: Draft) -> None:
    # 5.2: the named user's server must have signed the event. We sign with one
    # key, our own, so the user must be of the server we send from.
    user_id = draft.content["join_authorised_via_users_server"]
    if not isinstance(user_id, str) or server_name_of(user_id) != server_name_of(draft.sender):
        raise Forbidden("The user who authorises a join must be of this server")


def _check_join(draft: Draft, target: str, state: RoomState) -> None:
    if draft.sender != target:
        raise Forbidden("You cannot join a room for somebody else")
    create = state.get("m.room.create", "")
    before = state.get("m.room.member", target)
    # 5.3.1: nothing but the creator's join can follow the create event, so
    # whoever created and was never a member is the second event of the room.
    if before is None and create and is_creators_first_join(draft, create, state.version):
        return
    membership = membership_of(state, target)
    if membership == "ban":
        raise Forbidden("You are banned from this room")
    join_rule = join_rule_of(state)
    if join_rule == "public":
        return
    if join_rule not in {"invite", "knock", "restricted", "knock_restricted"}:
        raise Forbidden("Nobody can join this room")
    if membership in {"invite", "join"}:
        return
    if join_rule in {"invite", "knock"}:
        raise Forbidden("You must be invited to join this room")
    _check_authorised_join(draft, state)


def _check_authorised_join(draft: Draft, state: RoomState) -> None:
    user_id = draft.content.get("join_authorised_via_users_server")
    if not isinstance(user_id, str):
        raise Forbidden("You must be invited, or be in a room whose members may join this one")
    if membership_of(state, user_id) != "join":
        raise Forbidden("The user who authorises the join is not in the room")
    if state.power_levels.of(user_id) < state.power_levels.invite:
        raise Forbidden("The user who authorises the join may not invite to this room")


def _check_invite(draft: Draft, target: str, state: RoomState) -> None:
    if "third_party_invite" in draft.content:
        raise Forbidden("This server does not take invitations by e-mail or telephone")
    _check_sender_joined(draft, state)
    membership = membership_of(state, target)
    if membership == "join":
        raise Forbidden(f"{target} is already in the room")
    if membership == "ban":
        raise Forbidden(f"{target} is banned from the room")
    _check_level(draft, state, state.power_levels.invite, "invite")


def _check_leave(draft: Draft, target: str, state: RoomState) -> None:
    membership = membership_of(state, target)
    if draft.sender == target:
        if membership not in {"invite", "join", "knock"}:
            raise Forbidden("You are not in this room")
        return
    _check_sender_joined(draft, state)
    if membership == "ban":
        _check_level(draft, state, state.power_levels.ban, "unban")
    _check_level(draft, state, state.power_levels.kick, "kick")
    _check_outranks(draft, target, state)


def _check_ban(draft: Draft, target: str, state: RoomState) -> None:
    _check_sender_joined(draft, state)
    _check_level(draft, state, state.power_levels.ban, "ban")
    _check_outranks(draft, target, state)


def _check_knock(draft: Draft, target: str, state: RoomState) -> None:
    if join_rule_of(state) not in {"knock", "knock_restricted"}:
        raise Forbidden("This room does not take requests to join")
    if draft.sender != target:
        raise Forbidden("You cannot knock for somebody else")
    membership = membership_of(state, target)
    if membership == "ban":
        raise Forbidden("You are banned from this room")
    if membership in {"invite", "join"}:
        raise Forbidden("You may already enter this room")


def _check_sender_joined(draft: Draft, state: RoomState) -> None:
    if membership_of(state, draft.sender) != "join":
        raise Forbidden("You are not in this room")


def _check_level(draft: Draft, state: RoomState, needed: int, verb: str) -> None:
    if state.power_levels.of(draft.sender) < needed:
        raise Forbidden(f"Power level {needed} is needed to {verb} users")


def _check_outranks(draft: Draft, target: str, state: RoomState) -> None:
    if state.power_levels.of(target) >= state.power_levels.of(draft.sender):
        raise Forbidden(f"Your power level must be above that of {target}")


_CHECKS: Mapping[str, Callable[[Draft, str, RoomState], None]] = {
    "join": _check_join,
    "invite": _check_invite,
    "leave": _check_leave,
    "ban": _check_ban,
    "knock": _check_knock,
}
