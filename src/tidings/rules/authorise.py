"""May this event be sent? The authorisation rules of room versions 10 to 12.

`check` is total and deterministic: whatever state and content hold, it
returns or raises Forbidden. Rules that weigh federation's disagreements
(rejected auth events, forks) have no counterpart in a history of one line.
Source: room versions 10 to 12, "Authorisation rules", numbered as in version 12;
server-server API, "Auth events selection".
"""

from tidings.protocol.errors import Forbidden
from tidings.protocol.events import Draft
from tidings.protocol.ids import is_user_id, server_name_of
from tidings.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tidings.rules.membership import check_member
from tidings.rules.power_changes import check_power_levels
from tidings.rules.room_state import RoomState, membership_of

__all__ = ["RoomState", "auth_event_keys", "check"]


def check(draft: Draft, state: RoomState) -> None:
    """Raise Forbidden, with a sentence for a person, unless the event is allowed."""
    if draft.type == "m.room.create":
        _check_create(draft, state)
        return
    _check_room(draft, state)
    if draft.type == "m.room.member":
        check_member(draft, state)
        return
    if membership_of(state, draft.sender) != "join":
        raise Forbidden("You are not in this room")
    levels = state.power_levels
    if draft.type == "m.room.third_party_invite":
        needed = levels.invite
    else:
        needed = levels.to_send(draft.type, draft.state_key is not None)
    if levels.of(draft.sender) < needed:
        raise Forbidden(f"Power level {needed} is needed to send {draft.type}")
    if draft.state_key is not None:
        _check_state_key(draft, draft.state_key)
    if draft.type == "m.room.power_levels":
        check_power_levels(draft, state)


def _check_room(draft: Draft, state: RoomState) -> None:
    create = state.get("m.room.create", "")
    if create is None or draft.room_id != state.room_id:
        raise Forbidden("There is no such room")
    if create.content.get("m.federate") is False and (
        server_name_of(draft.sender) != server_name_of(create.sender)
    ):
        raise Forbidden("This room is not open to users of other servers")


def _check_state_key(draft: Draft, state_key: str) -> None:
    if draft.type == "m.room.third_party_invite":
        return  # allowed by its level alone (7.1)
    if state_key.startswith("@") and state_key != draft.sender:
        raise Forbidden("Only that user may set this state")


def _check_create(draft: Draft, state: RoomState) -> None:
    if state.get("m.room.create", "") is not None:
        raise Forbidden("The room has been created already")
    if draft.state_key != "":
        raise Forbidden("A room begins with a state event whose state key is empty")
    version = state.version
    if draft.content.get("room_version") != version.id or version.id not in ROOM_VERSIONS:
        raise Forbidden("The room version is not supported")
    if version.creator_in_content and "creator" not in draft.content:
        raise Forbidden("The create event must name its creator")
    if version.room_id_is_create_hash:
        _check_additional_creators(draft)
    elif server_name_of(draft.room_id) != server_name_of(draft.sender):
        raise Forbidden("The room id must be of the creator's server")


def _check_additional_creators(draft: Draft) -> None:
    if "additional_creators" not in draft.content:
        return
    others = draft.content["additional_creators"]
    if not isinstance(others, list) or not all(map(is_user_id, others)):
        raise Forbidden("additional_creators must be a list of user ids")


def auth_event_keys(draft: Draft, version: RoomVersion) -> list[tuple[str, str]]:
    """The types and state keys of the state events that give leave to send the event."""
    if draft.type == "m.room.create":
        return []
    keys = [("m.room.power_levels", ""), ("m.room.member", draft.sender)]
    if not version.auth_events_omit_create:
        keys.insert(0, ("m.room.create", ""))
    if draft.type == "m.room.member":
        keys.extend(key for key in _member_keys(draft) if key not in keys)
    return keys


def _member_keys(draft: Draft) -> list[tuple[str, str]]:
    keys = []
    if draft.state_key is not None:
        keys.append(("m.room.member", draft.state_key))
    membership = draft.content.get("membership")
    if membership in ("join", "invite", "knock"):
        keys.append(("m.room.join_rules", ""))
    authoriser = draft.content.get("join_authorised_via_users_server")
    if membership == "join" and isinstance(authoriser, str):
        keys.append(("m.room.member", authoriser))
    return keys
