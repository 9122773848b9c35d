"""Searching for people."""

from collections.abc import Sequence

import msgspec

from tidings.protocol.events import JsonObject
from tidings.protocol.ids import UserId
from tidings.rules import search_text
from tidings.server.storage.database import Database, ReadTx
from tidings.server.storage.profiles import ProfileStore
from tidings.server.storage.user_directory import UserDirectoryStore

LIMIT_MAX = 50
CANDIDATES_MAX = 300
"""People whose rooms are looked at where only those may be found whom one can meet."""


class FoundUser(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person, in the form of the answer."""

    user_id: UserId
    display_name: object = None
    avatar_url: object = None


class Found(msgspec.Struct, frozen=True):
    """The result of a search, in the form of the answer."""

    results: list[FoundUser]
    limited: bool


class UserDirectory:
    """Who can be found by whom."""

    def __init__(
        self, db: Database, directory: UserDirectoryStore, profiles: ProfileStore, scope: str
    ) -> None:
        self._db = db
        self._directory = directory
        self._profiles = profiles
        self._is_open = scope == "everyone"

    async def search(self, searcher: UserId, term: str, limit: int) -> Found:
        """People by user id, name or part of one; the nearest first."""
        words = search_text.words(term.removeprefix("@").partition(":")[0])
        limit = min(max(limit, 0), LIMIT_MAX)
        if not words or not limit:
            return Found([], limited=False)
        async with self._db.read() as tx:
            users = await self._find(tx, searcher, words, limit + 1)
            profiles = await self._profiles.shown(tx, users[:limit])
        found = [_found(user_id, profiles[user_id]) for user_id in users[:limit]]
        return Found(found, limited=len(users) > limit)

    async def _find(
        self, tx: ReadTx, searcher: UserId, words: Sequence[str], limit: int
    ) -> list[UserId]:
        if self._is_open:
            return await self._directory.search(tx, searcher, words, limit)
        candidates = await self._directory.search(tx, searcher, words, CANDIDATES_MAX)
        visible = await self._visible(tx, searcher, candidates)
        return [user_id for user_id in candidates if user_id in visible][:limit]

    async def _visible(
        self, tx: ReadTx, searcher: UserId, candidates: Sequence[UserId]
    ) -> set[UserId]:
        """Whom the spec lets be found: who shares a room with the searcher or is in an open one."""
        if not candidates:
            return set()
        visible = await self._directory.sharing_rooms(tx, searcher, candidates)
        others = [user_id for user_id in candidates if user_id not in visible]
        if not others:
            return visible
        doors = await self._directory.doors_of_rooms(tx, others)
        open_rooms = {room_id for room_id, content in doors if _is_open(content)}
        rooms = await self._directory.rooms_of(tx, others)
        return visible | {user_id for user_id, room_id in rooms if room_id in open_rooms}


def _is_open(content: JsonObject) -> bool:
    return (
        content.get("join_rule") == "public"
        or content.get("history_visibility") == "world_readable"
    )


def _found(user_id: UserId, profile: JsonObject) -> FoundUser:
    return FoundUser(user_id, profile.get("displayname"), profile.get("avatar_url"))
