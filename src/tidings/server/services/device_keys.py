"""Keys of devices: uploaded by their owners, asked for and claimed by those who send to them.

Source: client-server API, "End-to-End Encryption". The server checks the shape
of keys, not their truth: clients must not trust it with that anyway.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from tidings.protocol.canonical_json import check_canonical, encode_canonical
from tidings.protocol.errors import InvalidParam
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId, server_name_of
from tidings.rules.key_signatures import with_signatures
from tidings.server.storage.cross_signing import CrossSigningStore, KeySignature
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.device_keys import (
    Device,
    DeviceKeysRow,
    DeviceKeyStore,
    OneTimeKeyRow,
    Wanted,
)
from tidings.server.storage.device_lists import note_device_list_change

ONE_TIME_KEYS_MAX = 5_000
"""Ours: keys that may wait for one device."""
UNREACHABLE: JsonObject = {
    "errcode": "M_UNKNOWN",
    "error": "This server does not talk to other homeservers",
}
_SHOWN_USAGES = {"master": "master_keys", "self_signing": "self_signing_keys"}


class DeviceKeys(msgspec.Struct, frozen=True):
    """The fields that a device's identity keys must have; it may have others."""

    user_id: str
    device_id: str
    algorithms: list[str]
    keys: dict[str, str]
    signatures: dict[str, dict[str, str]] = {}


class KeyUpload(msgspec.Struct, frozen=True):
    """What a device uploads; keys by `<algorithm>:<key id>`."""

    device_keys: JsonObject | None = None
    one_time_keys: Mapping[str, str | JsonObject] = {}
    fallback_keys: Mapping[str, str | JsonObject] = {}


class DeviceKeyring:
    """Keeps and hands out the keys of devices."""

    def __init__(
        self,
        db: Database,
        store: DeviceKeyStore,
        cross_signing: CrossSigningStore,
        server_name: str,
    ) -> None:
        self._db = db
        self._store = store
        self._cross_signing = cross_signing
        self._server_name = server_name

    async def upload(self, device: Device, upload: KeyUpload) -> Counter[str]:
        """Keep keys of a device; how many one-time keys of each algorithm it has now."""

        async def recipe(tx: WriteTx) -> Counter[str]:
            return await self.put(tx, device, upload)

        check_upload(device, upload)
        return await self._db.write(recipe)

    async def put(self, tx: WriteTx, device: Device, upload: KeyUpload) -> Counter[str]:
        """Keep checked keys within a recipe."""
        if upload.device_keys is not None:
            await self._put_identity(tx, device, upload.device_keys)
        held = await self._store.one_time_keys(tx, *device)
        fresh = _fresh_keys(held, _rows(device, upload.one_time_keys))
        if len(held) + len(fresh) > ONE_TIME_KEYS_MAX:
            raise InvalidParam(f"A device may have at most {ONE_TIME_KEYS_MAX} one-time keys")
        if fresh:
            await self._store.insert_one_time_keys(tx, fresh)
        fallback = _rows(device, upload.fallback_keys)
        if fallback:
            await self._store.put_fallback_keys(tx, fallback)
        if fresh or fallback or upload.device_keys is not None:
            await self._store.note_counts(tx, [device])
        return Counter(key.algorithm for key in (*held, *fresh))

    async def _put_identity(self, tx: WriteTx, device: Device, keys: JsonObject) -> None:
        encoded = encode_canonical({name: keys[name] for name in keys if name != "unsigned"})
        held = await self._store.find(tx, *device)
        if held == encoded:
            return
        await self._store.put(tx, *device, encoded)
        if held is not None and msgspec.json.decode(held, type=DeviceKeys).keys != keys["keys"]:
            # The device has lost its keys and begins anew: nobody can use the old ones.
            await self._store.forget_identity(tx, *device)
        await note_device_list_change(tx, device[0])

    async def query(
        self, viewer: UserId, wanted: Mapping[UserId, Sequence[DeviceId]]
    ) -> JsonObject:
        """The keys of devices, of all of a user's for none named, and of the users themselves."""
        users = list(wanted)
        async with self._db.read() as tx:
            rows = await self._store.of_users(tx, users)
            keys = await self._cross_signing.of_users(tx, users)
            signatures = _by_key(await self._cross_signing.signatures_shown(tx, users, viewer))
        devices: dict[UserId, dict[DeviceId, JsonObject]] = {
            user_id: {} for user_id in users if self._is_local(user_id)
        }
        for row in rows:
            if not wanted[row.user_id] or row.device_id in wanted[row.user_id]:
                added = signatures.get((row.user_id, row.device_id), ())
                devices[row.user_id][row.device_id] = _shown(row, added)
        answer: dict[str, dict[UserId, object]] = {
            "master_keys": {}, "self_signing_keys": {}, "user_signing_keys": {}
        }  # fmt: skip
        for key in keys:
            section = _SHOWN_USAGES.get(key.usage)
            if section is None and key.user_id == viewer:
                section = "user_signing_keys"
            if section is not None:
                added = signatures.get((key.user_id, key.public_key), ())
                decoded: JsonObject = msgspec.json.decode(key.key)
                answer[section][key.user_id] = with_signatures(decoded, added)
        return {"device_keys": devices, "failures": self._failures(users), **answer}

    async def claim(self, wanted: Mapping[UserId, Mapping[DeviceId, str]]) -> JsonObject:
        """A one-time key of each device named, or its fallback key."""
        named: list[Wanted] = [
            (user_id, device_id, algorithm)
            for user_id, devices in wanted.items()
            for device_id, algorithm in devices.items()
        ]

        async def recipe(tx: WriteTx) -> list[OneTimeKeyRow]:
            taken = await self._store.take_one_time_keys(tx, named)
            served = {key.wanted for key in taken}
            missing = [each for each in named if each not in served]
            fallback = await self._store.use_fallback_keys(tx, missing) if missing else []
            changed = [*taken, *(key for key in fallback if not key.number)]
            if changed:
                await self._store.note_counts(tx, [(k.user_id, k.device_id) for k in changed])
            return taken + fallback

        keys: defaultdict[UserId, dict[DeviceId, JsonObject]] = defaultdict(dict)
        for key in await self._db.write(recipe) if named else []:
            name = f"{key.algorithm}:{key.key_id}"
            keys[key.user_id][key.device_id] = {name: msgspec.Raw(key.key)}
        return {"one_time_keys": keys, "failures": self._failures(wanted)}

    def _is_local(self, user_id: UserId) -> bool:
        return server_name_of(user_id) == self._server_name

    def _failures(self, users: Mapping[UserId, object] | Sequence[UserId]) -> JsonObject:
        elsewhere = {server_name_of(user_id) for user_id in users if not self._is_local(user_id)}
        return dict.fromkeys(sorted(elsewhere), UNREACHABLE)


def check_upload(device: Device, upload: KeyUpload) -> None:
    """Whether a device may upload the keys; raises InvalidParam, BadJson."""
    for keys in (upload.device_keys, upload.one_time_keys, upload.fallback_keys):
        check_canonical(keys)
    if upload.device_keys is not None:
        _check_identity(device, upload.device_keys)
    for name, key in (*upload.one_time_keys.items(), *upload.fallback_keys.items()):
        algorithm, colon, key_id = name.partition(":")
        if not (algorithm and colon and key_id):
            raise InvalidParam(f"{name} is not of the form algorithm:key_id")
        if not isinstance(key, str) and not isinstance(key.get("key"), str):
            raise InvalidParam(f"{name} holds no key")
    algorithms = [name.partition(":")[0] for name in upload.fallback_keys]
    if len(set(algorithms)) < len(algorithms):
        raise InvalidParam("There can be only one fallback key of an algorithm")


def _check_identity(device: Device, keys: JsonObject) -> None:
    try:
        known = msgspec.convert(keys, DeviceKeys)
    except msgspec.ValidationError as error:
        raise InvalidParam(f"device_keys: {error}") from error
    if (known.user_id, known.device_id) != device:
        raise InvalidParam("device_keys are of another user or device than yours")


def _rows(device: Device, keys: Mapping[str, str | JsonObject]) -> list[OneTimeKeyRow]:
    rows = []
    for name, key in keys.items():
        algorithm, _, key_id = name.partition(":")
        rows.append(OneTimeKeyRow(*device, algorithm, 0, key_id, encode_canonical(key)))
    return rows


def _fresh_keys(
    held: Sequence[OneTimeKeyRow], uploaded: Sequence[OneTimeKeyRow]
) -> list[OneTimeKeyRow]:
    """The uploaded keys that are new, numbered; raises InvalidParam for a name given twice."""
    by_name = {(key.algorithm, key.key_id): key.key for key in held}
    number = max((key.number for key in held), default=0)
    fresh = []
    for key in uploaded:
        same = by_name.get((key.algorithm, key.key_id))
        if same is not None and same != key.key:
            raise InvalidParam(
                f"One time key {key.algorithm}:{key.key_id} already exists and is another key"
            )
        if same is None:
            number += 1
            fresh.append(msgspec.structs.replace(key, number=number))
    return fresh


def _by_key(
    signatures: Sequence[KeySignature],
) -> dict[tuple[UserId, str], list[tuple[str, str, str]]]:
    found: dict[tuple[UserId, str], list[tuple[str, str, str]]] = {}
    for each in signatures:
        added = found.setdefault((each.user_id, each.key_id), [])
        added.append((each.signer, each.signing_key_id, each.signature))
    return found


def _shown(row: DeviceKeysRow, added: Sequence[tuple[str, str, str]]) -> JsonObject:
    keys: JsonObject = msgspec.json.decode(row.keys)
    unsigned = {} if row.display_name is None else {"device_display_name": row.display_name}
    return {**with_signatures(keys, added), "unsigned": unsigned}
