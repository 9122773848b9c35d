"""What a push gateway is told. Source: push gateway API, `/_matrix/push/v1/notify`."""

from collections.abc import Mapping

import msgspec

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import UserId

EVENT_ID_ONLY = "event_id_only"


class Device(msgspec.Struct, frozen=True):
    """The app on a device that a gateway is to reach."""

    app_id: str
    pushkey: str
    set_ts: int
    """When the pushkey was set, in milliseconds."""
    data: Mapping[str, object]
    """What the client said of it, the gateway's address included."""


class Setting(msgspec.Struct, frozen=True):
    """What is told beside an event: who wrote it, and where."""

    sender_name: str | None = None
    room_name: str | None = None
    room_alias: str | None = None


def event_payload(
    event: Event, user_id: UserId, setting: Setting, tweaks: JsonObject
) -> JsonObject:
    """What all devices of a user are told of an event, in full."""
    told: JsonObject = {
        "event_id": event.event_id,
        "room_id": event.room_id,
        "type": event.type,
        "sender": event.sender,
        "content": event.content,
        "prio": "high" if _is_urgent(event, tweaks) else "low",
    }
    optional = {
        "sender_display_name": setting.sender_name,
        "room_name": setting.room_name,
        "room_alias": setting.room_alias,
    }
    told.update((name, value) for name, value in optional.items() if value is not None)
    if event.type == "m.room.member":
        told["user_is_target"] = event.state_key == user_id
    return told


def notification(told: JsonObject, device: Device, tweaks: JsonObject, unread: int) -> JsonObject:
    """The body of a request about an event."""
    if device.data.get("format") == EVENT_ID_ONLY:
        told = {name: told[name] for name in ("event_id", "room_id", "prio")}
    # "Counts whose value is zero should be omitted."
    counts = {"unread": unread} if unread else {}
    return {"notification": {**told, "counts": counts, "devices": [_device(device, tweaks)]}}


def badge_notification(device: Device, unread: int) -> JsonObject:
    """The body of a request that only tells how much is unread.

    COMPAT(sygnal): zero is said here, as a gateway clears nothing for a count that is absent.
    """
    counts = {"unread": unread}
    return {"notification": {"prio": "low", "counts": counts, "devices": [_device(device, {})]}}


def _device(device: Device, tweaks: JsonObject) -> JsonObject:
    shown: JsonObject = {
        "app_id": device.app_id,
        "pushkey": device.pushkey,
        "pushkey_ts": device.set_ts // 1_000,
        "data": {name: value for name, value in device.data.items() if name != "url"},
    }
    return {**shown, "tweaks": tweaks} if tweaks else shown


def _is_urgent(event: Event, tweaks: JsonObject) -> bool:
    # What is encrypted may be a mention: only the app can tell.
    return event.type == "m.room.encrypted" or bool(tweaks.get("highlight") or "sound" in tweaks)
