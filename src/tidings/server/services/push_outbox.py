"""From the queue to the gateways: what is told now, and what came of it.

What has been read, redacted or left meanwhile is not pushed any more. The
count that goes with a push is that of the moment it is sent.
"""

from collections.abc import Callable, Sequence

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.rules.push_payload import (
    Device,
    Setting,
    badge_notification,
    event_payload,
    notification,
)
from tidings.server.live.rooms import MEMBER, Room, Rooms, display_name_of
from tidings.server.live.users import Users, UserView
from tidings.server.services.badges import Badges
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.people import MAIN
from tidings.server.storage.pushers import Pusher, PusherStore
from tidings.server.storage.pushes import Push, PushStore
from tidings.server.storage.relations import RelationStore

AT_ONCE = 10
"""Pushes that are made ready together; so many may be repeated after a crash."""


class Parcel(msgspec.Struct, frozen=True):
    """One request to a gateway."""

    position: int
    body: bytes


class Delivery(msgspec.Struct, frozen=True):
    """What waits for one pusher, oldest first."""

    pusher: Pusher
    url: str
    parcels: Sequence[Parcel]
    unread: int
    unwanted: Sequence[int]
    """Positions of what is not to be told any more."""
    last: int


class PushOutbox:
    """Makes deliveries ready, and crosses off what was taken."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        rooms: Rooms,
        users: Users,
        badges: Badges,
        pushers: PusherStore,
        pushes: PushStore,
        now_ms: Callable[[], int],
        give_up_ms: int,
    ) -> None:
        self._db = db
        self._rooms = rooms
        self._users = users
        self._badges = badges
        self._pushers = pushers
        self._pushes = pushes
        self._events = RelationStore()
        self._now_ms = now_ms
        self._give_up_ms = give_up_ms

    async def prepare(self, pusher_id: int) -> Delivery | None:
        """What is to be told next; None when nothing waits, or the pusher is gone."""
        async with self._db.read() as tx:
            pusher = await self._pushers.find(tx, pusher_id)
            waiting = await self._pushes.waiting(tx, pusher_id, AT_ONCE) if pusher else []
            if pusher is None or not waiting:
                return None
            unread = await self._badges.count(tx, pusher.user_id)
            return await self._make_ready(tx, pusher, waiting, unread)

    async def cross_off(self, delivery: Delivery, taken: Sequence[Parcel]) -> int:
        """Forget what was taken and what is unwanted; the highest count the user's apps show."""
        user_id, pusher_id = delivery.pusher.user_id, delivery.pusher.pusher_id
        positions = [*delivery.unwanted, *(parcel.position for parcel in taken)]

        async def recipe(tx: WriteTx) -> int:
            badge = delivery.unread if taken else None
            await self._pushes.cross_off(tx, pusher_id, positions, badge)
            return await self._pushers.badge_of(tx, user_id) or 0

        return await self._db.write(recipe)

    async def end(self, refused: Pusher) -> None:
        """End a pusher, and those of other users with the same key at the same gateway."""

        async def recipe(tx: WriteTx) -> None:
            for pusher in await self._pushers.with_key(tx, refused.app_id, refused.pushkey):
                if _url_of(pusher) == _url_of(refused):
                    await self._pushers.delete(tx, pusher)

        await self._db.write(recipe)

    async def _make_ready(
        self, tx: ReadTx, pusher: Pusher, waiting: Sequence[Push], unread: int
    ) -> Delivery:
        view = await self._users.load(tx, pusher.user_id)
        positions = [push.position for push in waiting if push.tweaks is not None]
        events = {event.position: event for event in await self._events.at(tx, positions)}
        device = _device_of(pusher)
        parcels: list[Parcel] = []
        for push in waiting:
            body = None
            if push.queued_ts + self._give_up_ms < self._now_ms():
                pass
            elif push.tweaks is None:
                if not unread and pusher.badge:
                    body = badge_notification(device, unread)
            elif (event := events.get(push.position)) and _is_wanted(event, view):
                tweaks: JsonObject = msgspec.json.decode(push.tweaks)
                room = await self._rooms.load(tx, event.room_id)
                told = event_payload(event, pusher.user_id, _setting(event, room), tweaks)
                body = notification(told, device, tweaks, unread)
            if body is not None:
                parcels.append(Parcel(push.position, msgspec.json.encode(body)))
        kept = {parcel.position for parcel in parcels}
        unwanted = [push.position for push in waiting if push.position not in kept]
        last = waiting[-1].position
        return Delivery(pusher, _url_of(pusher), parcels, unread, unwanted, last)


def _is_wanted(event: Event, view: UserView) -> bool:
    """Whether the user is still to be told of the event."""
    if event.redacted_by is not None:
        return False
    place = view.places.get(event.room_id)
    if place is None:
        return False
    if event.type == MEMBER and event.state_key == view.user_id:
        return place.membership == "invite"
    is_read = event.position <= place.read_upto(event.thread_id or MAIN)
    return place.membership == "join" and not is_read


def _setting(event: Event, room: Room | None) -> Setting:
    if room is None:
        return Setting()
    return Setting(
        sender_name=display_name_of(room.get(MEMBER, event.sender)),
        room_name=_text(room.get("m.room.name", ""), "name"),
        room_alias=_text(room.get("m.room.canonical_alias", ""), "alias"),
    )


def _text(event: Event | None, name: str) -> str | None:
    value = event.content.get(name) if event else None
    return value if isinstance(value, str) and value else None


def _device_of(pusher: Pusher) -> Device:
    data: JsonObject = msgspec.json.decode(pusher.data)
    return Device(pusher.app_id, pusher.pushkey, pusher.set_ts, data)


def _url_of(pusher: Pusher) -> str:
    data: JsonObject = msgspec.json.decode(pusher.data)
    return str(data.get("url", ""))
