"""Backups of room keys. Source: client-server API, "Server-side key backups"."""

from collections.abc import Mapping

import msgspec

from tidings.protocol.canonical_json import check_canonical, encode_canonical
from tidings.protocol.errors import InvalidParam, NotFound, WrongRoomKeysVersion
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import RoomId, UserId
from tidings.rules.key_backup import KeyRank, is_better
from tidings.server.storage.database import Database, ReadTx, WriteTx
from tidings.server.storage.key_backup import (
    BackedUpKey,
    KeyBackupStore,
    Place,
    Session,
    Version,
)

NO_BACKUP = "There is no such backup"
ALGORITHMS = ("m.megolm_backup.v1.curve25519-aes-sha2",)
"""Those that the spec knows; how the keys are encrypted is the clients' business."""
_VERSION_DIGITS_MAX = 18
_encode = msgspec.json.Encoder().encode


class BackupState(msgspec.Struct, frozen=True):
    """How many keys a backup has, and a text that is another whenever they change."""

    count: int
    etag: str


class BackupInfo(msgspec.Struct, frozen=True):
    """A backup in the form of the answer."""

    algorithm: str
    auth_data: msgspec.Raw
    count: int
    etag: str
    version: str


class KeyBackup:
    """Keeps backups of room keys."""

    def __init__(self, db: Database, store: KeyBackupStore) -> None:
        self._db = db
        self._store = store

    async def create(self, user_id: UserId, algorithm: str, auth_data: JsonObject) -> str:
        """Begin a new version, the one keys are written to from now on; raises InvalidParam."""
        if algorithm not in ALGORITHMS:
            raise InvalidParam("There is no such algorithm for backups")
        encoded = _checked(auth_data)

        async def recipe(tx: WriteTx) -> int:
            return await self._store.create(tx, user_id, algorithm, encoded)

        return str(await self._db.write(recipe))

    async def info(self, user_id: UserId, version: str | None = None) -> BackupInfo:
        """A version, the newest for none named; raises NotFound."""
        async with self._db.read() as tx:
            found = await self._get(tx, user_id, version)
        auth_data = msgspec.Raw(found.auth_data)
        return BackupInfo(
            found.algorithm, auth_data, found.count, str(found.etag), str(found.version)
        )

    async def update(
        self, user_id: UserId, version: str, algorithm: str, auth_data: JsonObject
    ) -> None:
        """Change how a version's keys are said to be encrypted; raises NotFound, InvalidParam."""
        encoded = _checked(auth_data)

        async def recipe(tx: WriteTx) -> None:
            found = await self._get(tx, user_id, version)
            if found.algorithm != algorithm:
                raise InvalidParam("The algorithm of a backup cannot be changed")
            await self._store.set_auth_data(tx, user_id, found.version, encoded)

        await self._db.write(recipe)

    async def delete(self, user_id: UserId, version: str) -> None:
        """Delete a version and its keys; done again, it finishes what was interrupted."""
        number = _number(version)

        async def recipe(tx: WriteTx) -> None:
            if await self._store.find(tx, user_id, number) is None:
                raise NotFound(NO_BACKUP)
            await self._store.mark_deleted(tx, user_id, number)

        await self._db.write(recipe)
        await self._delete_all(Place(user_id, number))

    async def put_keys(
        self, user_id: UserId, version: str, keys: Mapping[Session, BackedUpKey]
    ) -> BackupState:
        """Write keys, each if it is better than the one held; raises WrongRoomKeysVersion."""

        async def recipe(tx: WriteTx) -> BackupState:
            newest = await self._newest(tx, user_id, version)
            place = Place(user_id, newest.version)
            held = await self._store.held(tx, place, list(keys))
            better = [
                key
                for session, key in keys.items()
                if session not in held or is_better(_rank(key), held[session])
            ]
            if not better:
                return BackupState(newest.count, str(newest.etag))
            await self._store.put(tx, place, better)
            added = sum((key.room_id, key.session_id) not in held for key in better)
            await self._store.note_change(tx, place, added)
            return BackupState(newest.count + added, str(newest.etag + 1))

        return await self._db.write(recipe)

    async def rooms(self, place: Place) -> bytes:
        """The keys of a backup, or of one room in it, by room and session, as JSON."""
        rooms: list[bytes] = []
        last: RoomId | None = None
        async for page in self._store.pages(self._db, place):
            for key in page:
                if key.room_id != last:
                    end = b"" if last is None else b"}},"
                    rooms.append(b'%b%b:{"sessions":{' % (end, _encode(key.room_id)))
                    last = key.room_id
                else:
                    rooms.append(b",")
                rooms.append(b"%b:%b" % (_encode(key.session_id), _shown(key)))
        if last is not None:
            rooms.append(b"}}")
        return b"{" + b"".join(rooms) + b"}"

    async def one(self, place: Place) -> bytes:
        """One key as JSON; raises NotFound."""
        async for page in self._store.pages(self._db, place):
            return _shown(page[0])
        raise NotFound("There is no such key in the backup")

    async def place(
        self, user_id: UserId, version: str, room_id: str | None, session_id: str | None
    ) -> Place:
        """Where keys are in a version that exists; raises NotFound."""
        async with self._db.read() as tx:
            found = await self._get(tx, user_id, version)
        return Place(
            user_id, found.version, None if room_id is None else RoomId(room_id), session_id
        )

    async def delete_keys(self, place: Place) -> BackupState:
        """Delete keys."""
        await self._delete_all(place)
        info = await self.info(place.user_id, str(place.version))
        return BackupState(info.count, info.etag)

    async def _delete_all(self, place: Place) -> None:
        """Delete in steps, for a writer keeps all others waiting."""

        async def recipe(tx: WriteTx) -> int:
            deleted = await self._store.delete_some(tx, place)
            if deleted:
                await self._store.note_change(tx, place, -deleted)
            return deleted

        while await self._db.write(recipe):
            pass

    async def _get(self, tx: ReadTx, user_id: UserId, version: str | None) -> Version:
        if version is None:
            found = await self._store.newest(tx, user_id)
        else:
            found = await self._store.find(tx, user_id, _number(version))
        if found is None or found.deleted:
            raise NotFound(NO_BACKUP)
        return found

    async def _newest(self, tx: ReadTx, user_id: UserId, version: str) -> Version:
        newest = await self._store.newest(tx, user_id)
        if newest is None:
            raise NotFound(NO_BACKUP)
        if str(newest.version) != version:
            raise WrongRoomKeysVersion(
                "Keys can be written to the newest backup only",
                current_version=str(newest.version),
            )
        return newest


def _number(version: str) -> int:
    if not (version.isascii() and version.isdigit()) or len(version) > _VERSION_DIGITS_MAX:
        raise NotFound(NO_BACKUP)
    return int(version)


def _checked(value: JsonObject) -> bytes:
    check_canonical(value)
    return encode_canonical(value)


def _rank(key: BackedUpKey) -> KeyRank:
    return KeyRank(key.first_message_index, key.forwarded_count, bool(key.is_verified))


def _shown(key: BackedUpKey) -> bytes:
    return b'{"first_message_index":%d,"forwarded_count":%d,"is_verified":%b,"session_data":%b}' % (
        key.first_message_index,
        key.forwarded_count,
        b"true" if key.is_verified else b"false",
        key.session_data,
    )
