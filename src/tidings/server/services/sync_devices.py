"""What a sync out of memory tells of devices: messages to one's own, changes of others'."""

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import UserId
from tidings.rules.stream import Change, DeviceListChanged, ToDeviceQueued
from tidings.rules.sync import DeviceLists
from tidings.server.live.rooms import Rooms, membership_of
from tidings.server.live.users import UserView
from tidings.server.services.sync_request import SyncRequest

TO_DEVICE_MAX = 100
"""Messages to a device in one answer, as the spec recommends."""


class DeviceNews(msgspec.Struct):
    """What has been gathered for one device."""

    messages: list[bytes] = []
    changed: set[UserId] = set()
    gone: set[UserId] = set()
    """Others who have left a room; they may be met in another one."""

    def take_member(self, event: Event) -> None:
        """Take up another's membership of a room that the user is in."""
        user_id, membership = UserId(event.state_key or ""), membership_of(event)
        if membership == "join":
            if _previous_membership(event) != "join":
                self.changed.add(user_id)
                self.gone.discard(user_id)
        elif membership != "invite" and _previous_membership(event) == "join":
            self.gone.add(user_id)

    def take(self, view: UserView, request: SyncRequest, change: Change) -> None:
        """Take up a change that is not an event."""
        match change:
            case ToDeviceQueued():
                is_own = (change.user_id, change.device_id) == (request.user_id, request.device_id)
                if is_own and change.position > request.device.acknowledged:
                    self.messages.append(change.message)
            case DeviceListChanged():
                if change.seen_by:
                    is_told = change.seen_by == view.user_id
                else:
                    is_told = not view.joined.isdisjoint(change.rooms)
                if is_told or (change.user_id == view.user_id and not change.seen_by):
                    self.changed.add(change.user_id)
            case _:
                pass

    def lists(self, view: UserView, rooms: Rooms) -> DeviceLists | None:
        """The changes of others' devices; None where memory cannot tell who is still met."""
        left = self.gone - self.changed
        if left:
            held = [rooms.held(room_id) for room_id in view.joined]
            left = {u for u in left if not any(room and u in room.joined for room in held)}
            if left and None in held:
                return None
        return DeviceLists(tuple(sorted(self.changed - left)), tuple(sorted(left)))


class _Membership(msgspec.Struct):
    membership: object = None


class _Content(msgspec.Struct):
    content: _Membership


_decode = msgspec.json.Decoder(_Content).decode


def _previous_membership(event: Event) -> object:
    return _decode(event.replaced_json).content.membership if event.replaced_json else None
