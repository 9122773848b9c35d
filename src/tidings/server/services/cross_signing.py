"""The keys by which people vouch for their devices and for each other, and their signatures.

Source: client-server API, "Cross-signing".
"""

from base64 import b64decode
from collections.abc import Mapping
from typing import Literal

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from tidings.protocol.canonical_json import check_canonical, encode_canonical
from tidings.protocol.errors import (
    Forbidden,
    InvalidParam,
    InvalidSignature,
    MatrixError,
    MissingParam,
    NotFound,
)
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId
from tidings.rules.key_signatures import signatures_by, signed_bytes
from tidings.server.storage.cross_signing import CrossSigningKey, CrossSigningStore, KeySignature
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.device_keys import DeviceKeyStore
from tidings.server.storage.device_lists import note_device_list_change, note_signatures_change

Usage = Literal["master", "self_signing", "user_signing"]
MASTER, SELF_SIGNING, USER_SIGNING = "master", "self_signing", "user_signing"
ED25519 = "ed25519:"

Failures = dict[UserId, dict[str, JsonObject]]


class SigningKey(msgspec.Struct, frozen=True):
    """The fields that a cross-signing key must have; it may have others."""

    user_id: str
    usage: list[Usage]
    keys: dict[str, str]


class CrossSigning:
    """Keeps cross-signing keys and signatures."""

    def __init__(self, db: Database, store: CrossSigningStore, devices: DeviceKeyStore) -> None:
        self._db = db
        self._store = store
        self._devices = devices

    async def is_replacing(self, user_id: UserId, keys: Mapping[str, JsonObject]) -> bool:
        """Whether keys would take the place of others, or join them: who asks must prove it."""
        new = _checked(user_id, keys)
        async with self._db.read() as tx:
            return _is_replacing(await self._store.of_user(tx, user_id), new)

    async def upload(
        self, user_id: UserId, keys: Mapping[str, JsonObject], *, may_replace: bool
    ) -> None:
        """Set keys by usage; raises InvalidSignature, MissingParam, Forbidden."""
        new = _checked(user_id, keys)

        async def recipe(tx: WriteTx) -> None:
            held = await self._store.of_user(tx, user_id)
            if _is_replacing(held, new) and not may_replace:
                raise Forbidden("Your keys have just been changed; try again")
            await self._check_new(tx, held, new)
            await self._put(tx, held, new)

        await self._db.write(recipe)

    async def _check_new(
        self, tx: ReadTx, held: Mapping[str, CrossSigningKey], new: Mapping[str, CrossSigningKey]
    ) -> None:
        master = new.get(MASTER) or held.get(MASTER)
        if master is None:
            raise MissingParam("You have no master key yet: upload it first")
        for usage, key in new.items():
            device_id = DeviceId(key.public_key)
            if await self._devices.find(tx, key.user_id, device_id) is not None:
                raise Forbidden("A device of yours has this key as its id")
            if usage != MASTER:
                decoded: JsonObject = msgspec.json.decode(key.key)
                check_signature(decoded, master.user_id, master.public_key, master.public_key)

    async def _put(
        self,
        tx: WriteTx,
        held: Mapping[str, CrossSigningKey],
        new: Mapping[str, CrossSigningKey],
    ) -> None:
        changed = {
            usage: key
            for usage, key in new.items()
            if usage not in held or held[usage].key != key.key
        }
        if not changed:
            return
        # What an old master key has signed is worth nothing beside a new one.
        is_new_identity = _is_other(held.get(MASTER), changed.get(MASTER))
        for usage, old in held.items():
            if is_new_identity or _is_other(old, changed.get(usage)):
                await self._store.delete(tx, old)
        for key in changed.values():
            await self._store.put(tx, key)
        await note_device_list_change(tx, next(iter(changed.values())).user_id)

    async def sign(
        self, user_id: UserId, signed: Mapping[UserId, Mapping[str, JsonObject]]
    ) -> Failures:
        """Keep a user's signatures by the owner and the key signed; what was refused, and why."""
        check_canonical(signed)

        async def recipe(tx: WriteTx) -> Failures:
            signer = _Signer(user_id, await self._store.of_user(tx, user_id))
            failures: Failures = {}
            for owner, keys in signed.items():
                refused = await self._sign_keys_of(tx, signer, owner, keys)
                if refused:
                    failures[owner] = refused
            return failures

        return await self._db.write(recipe)

    async def _sign_keys_of(
        self, tx: WriteTx, signer: "_Signer", owner: UserId, keys: Mapping[str, JsonObject]
    ) -> dict[str, JsonObject]:
        found: list[KeySignature] = []
        refused: dict[str, JsonObject] = {}
        for key_id, key in keys.items():
            try:
                stored = await self._signable(tx, signer, owner, key_id)
                fresh = await self._fresh_signatures(tx, signer, owner, (stored, key))
            except MatrixError as error:
                refused[key_id] = error.to_json()
                continue
            found += [KeySignature(owner, key_id, signer.user_id, *each) for each in fresh]
        if found:
            await self._store.add_signatures(tx, found)
            if owner == signer.user_id:
                await note_device_list_change(tx, owner)
            else:
                await note_signatures_change(tx, owner, signer.user_id)
        return refused

    async def _signable(
        self, tx: ReadTx, signer: "_Signer", owner: UserId, key_id: str
    ) -> JsonObject:
        """The key as it is kept: one's device or master key, or another's master key."""
        if "\0" in key_id:
            raise NotFound("There is no such key or device to sign")
        is_own = owner == signer.user_id
        master = (signer.keys if is_own else await self._store.of_user(tx, owner)).get(MASTER)
        if master is not None and master.public_key == key_id:
            stored: bytes | None = master.key
        else:
            stored = await self._devices.find(tx, owner, DeviceId(key_id)) if is_own else None
        if stored is None:
            raise NotFound("There is no such key or device to sign")
        decoded: JsonObject = msgspec.json.decode(stored)
        return decoded

    async def _fresh_signatures(
        self,
        tx: ReadTx,
        signer: "_Signer",
        owner: UserId,
        keys: tuple[JsonObject, JsonObject],
    ) -> list[tuple[str, str]]:
        """Signatures that the key as kept lacks, all of them good; raises InvalidSignature."""
        kept, key = keys
        if signed_bytes(kept) != signed_bytes(key):
            raise InvalidParam("What was signed is not the key as it is kept here")
        known = signatures_by(kept, signer.user_id)
        fresh = []
        for name, signature in signatures_by(key, signer.user_id).items():
            if known.get(name) != signature:
                public_key = await self._verify_key(tx, signer, owner, name)
                check_signature(key, signer.user_id, name.removeprefix(ED25519), public_key)
                fresh.append((name, signature))
        return fresh

    async def _verify_key(
        self, tx: ReadTx, signer: "_Signer", owner: UserId, signing_key_id: str
    ) -> str:
        """The public key of the signer that may sign a key of the owner."""
        name = signing_key_id.removeprefix(ED25519)
        is_own = owner == signer.user_id
        key = signer.keys.get(SELF_SIGNING if is_own else USER_SIGNING)
        if key is not None and key.public_key == name:
            return name
        if is_own and "\0" not in name:
            keys = await self._devices.find(tx, owner, DeviceId(name))
            if keys is not None:
                of_device = msgspec.json.decode(keys, type=_Keys).keys.get(signing_key_id)
                if of_device is not None:
                    return of_device
        raise InvalidSignature(f"{signing_key_id} is not a key that may sign this")


class _Signer(msgspec.Struct, frozen=True):
    user_id: UserId
    keys: Mapping[str, CrossSigningKey]


class _Keys(msgspec.Struct):
    keys: dict[str, str]


def check_signature(key: JsonObject, signer: UserId, name: str, public_key: str) -> None:
    """Whether a key is signed; raises InvalidSignature."""
    signature = signatures_by(key, signer).get(ED25519 + name)
    if signature is None:
        raise InvalidSignature(f"The signature by {ED25519}{name} is missing")
    try:
        VerifyKey(_unpadded(public_key)).verify(signed_bytes(key), _unpadded(signature))
    except (BadSignatureError, ValueError, TypeError) as error:
        raise InvalidSignature(f"The signature by {ED25519}{name} is not good") from error


def _unpadded(text: str) -> bytes:
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _checked(user_id: UserId, keys: Mapping[str, JsonObject]) -> dict[str, CrossSigningKey]:
    return {usage: _checked_key(user_id, usage, key) for usage, key in keys.items()}


def _checked_key(user_id: UserId, usage: str, key: JsonObject) -> CrossSigningKey:
    check_canonical(key)
    try:
        known = msgspec.convert(key, SigningKey)
    except msgspec.ValidationError as error:
        raise InvalidParam(f"{usage}_key: {error}") from error
    if known.user_id != user_id:
        raise InvalidParam(f"{usage}_key is of another user")
    if usage not in known.usage:
        raise InvalidParam(f"{usage}_key is not meant for that use")
    if len(known.keys) != 1:
        raise InvalidParam(f"{usage}_key must hold exactly one key")
    name, public_key = next(iter(known.keys.items()))
    if name != ED25519 + public_key or "\0" in public_key:
        raise InvalidParam(f"{usage}_key must be named by its public key")
    return CrossSigningKey(user_id, usage, public_key, encode_canonical(key))


def _is_other(old: CrossSigningKey | None, new: CrossSigningKey | None) -> bool:
    return old is not None and new is not None and old.public_key != new.public_key


def _is_replacing(held: Mapping[str, CrossSigningKey], new: Mapping[str, CrossSigningKey]) -> bool:
    """Spec: no proof is asked where there is no master key, or nothing is new."""
    if MASTER not in held:
        return False
    return any(
        usage not in held or held[usage].public_key != key.public_key for usage, key in new.items()
    )
