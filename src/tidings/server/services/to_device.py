"""Sending messages to devices. Source: client-server API, "Send-to-Device messaging"."""

from collections.abc import Callable, Mapping

import msgspec

from tidings.protocol.canonical_json import encode_canonical
from tidings.protocol.errors import TooLarge
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId
from tidings.rules.stream import ToDeviceQueued
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.to_device import ToDeviceStore, Transaction

MESSAGE_BYTES_MAX = 65_536
"""Ours: as large as an event may be."""
TXN_KEPT_MS = 86_400_000
"""How long a request is known to have been made."""
ALL_DEVICES = "*"

Messages = Mapping[UserId, Mapping[str, JsonObject]]


class SendToDevice(msgspec.Struct, frozen=True):
    """Messages of one type, by user and device; the device may be `*` for all of a user's."""

    txn: Transaction
    messages: Messages


class ToDevice:
    """Lets messages wait for their devices."""

    def __init__(self, db: Database, store: ToDeviceStore, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._store = store
        self._now_ms = now_ms

    async def send(self, command: SendToDevice) -> None:
        """Send; the same transaction again does nothing. Devices nobody knows are left out."""
        encoded = _encode(command)

        async def recipe(tx: WriteTx) -> None:
            if not await self._store.begin(tx, command.txn, self._now_ms(), TXN_KEPT_MS):
                return
            position = tx.next_position()
            queued = [
                ToDeviceQueued(position, user_id, device_id, message)
                for user_id, device_id in await self._store.devices_of(tx, list(encoded))
                if (message := _message_for(encoded[user_id], device_id)) is not None
            ]
            if queued:
                await self._store.queue(tx, queued)

        await self._db.write(recipe)


def _message_for(messages: Mapping[str, bytes], device_id: str) -> bytes | None:
    return messages.get(device_id) or messages.get(ALL_DEVICES)


def _encode(command: SendToDevice) -> dict[UserId, dict[str, bytes]]:
    """The messages as their devices are sent them; raises BadJson, TooLarge."""
    sender, type_ = command.txn.user_id, command.txn.type
    encoded: dict[UserId, dict[str, bytes]] = {}
    for user_id, messages in command.messages.items():
        for device_id, content in messages.items():
            message = encode_canonical({"content": content, "sender": sender, "type": type_})
            if len(message) > MESSAGE_BYTES_MAX:
                raise TooLarge(f"A message may have at most {MESSAGE_BYTES_MAX} bytes")
            encoded.setdefault(user_id, {})[device_id] = message
    return encoded
