"""A user's pushers: where to send what they are to be notified of.

Source: client-server API, "Push Notifications"; the gateway's address is that of a pusher
of the kind `http`, and its path is fixed since v1.13.
"""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import msgspec

from tidings.protocol.errors import InvalidParam, MissingParam
from tidings.protocol.events import JsonObject
from tidings.protocol.ids import DeviceId, UserId
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.pushers import Pusher, PusherStore

PUSHERS_MAX = 100
"""Ours: pushers of one user."""
DATA_BYTES_MAX = 8_192
URL_BYTES_MAX = 2_048
GATEWAY_PATH = "/_matrix/push/v1/notify"


class NewPusher(msgspec.Struct, frozen=True):
    """A pusher as a client asks for it, for the device it asks with."""

    user_id: UserId
    device_id: DeviceId
    app_id: str
    pushkey: str
    kind: str
    app_display_name: str
    device_display_name: str
    profile_tag: str | None
    lang: str
    data: JsonObject
    append: bool = False
    """Whether others may have pushers of the same app and pushkey."""


class Pushers:
    """Makes, shows and ends pushers."""

    def __init__(
        self,
        db: Database,
        store: PusherStore,
        now_ms: Callable[[], int],
        *,
        allow_private: bool,
    ) -> None:
        self._db = db
        self._store = store
        self._now_ms = now_ms
        self._allow_private = allow_private

    async def of(self, user_id: UserId) -> Sequence[Pusher]:
        """The user's pushers."""
        async with self._db.read() as tx:
            return await self._store.of(tx, user_id)

    async def set(self, new: NewPusher) -> None:
        """Make or change a pusher; raises InvalidParam, MissingParam."""
        if new.kind == "email":
            raise InvalidParam("This server does not send e-mail; pushers can be of the kind http")
        if new.kind != "http":
            raise InvalidParam("Pushers can be of the kind http")
        check_gateway(new.data, allow_private=self._allow_private)
        data = msgspec.json.encode(new.data)
        if len(data) > DATA_BYTES_MAX:
            raise InvalidParam(f"The data of a pusher may have at most {DATA_BYTES_MAX} bytes")

        async def recipe(tx: WriteTx) -> None:
            same = await self._store.with_key(tx, new.app_id, new.pushkey)
            if all(pusher.user_id != new.user_id for pusher in same):
                await self._check_room_for_one(tx, new.user_id)
            for pusher in same:
                if not new.append and pusher.user_id != new.user_id:
                    await self._store.delete(tx, pusher)
            await self._store.set(tx, self._pusher(tx, new, data), new.device_id)

        await self._db.write(recipe)

    async def end(self, user_id: UserId, app_id: str, pushkey: str) -> None:
        """End a pusher; one that is gone already is no error."""

        async def recipe(tx: WriteTx) -> None:
            for pusher in await self._store.with_key(tx, app_id, pushkey):
                if pusher.user_id == user_id:
                    await self._store.delete(tx, pusher)

        await self._db.write(recipe)

    async def _check_room_for_one(self, tx: WriteTx, user_id: UserId) -> None:
        if len(await self._store.of(tx, user_id)) >= PUSHERS_MAX:
            raise InvalidParam(f"You may have at most {PUSHERS_MAX} pushers")

    def _pusher(self, tx: WriteTx, new: NewPusher, data: bytes) -> Pusher:
        return Pusher(
            tx.next_position(), new.user_id, new.app_id, new.pushkey, new.kind,
            new.app_display_name, new.device_display_name, new.profile_tag, new.lang, data,
            self._now_ms(),
        )  # fmt: skip


def check_gateway(data: Mapping[str, object], *, allow_private: bool) -> None:
    """Whether the address in a pusher's data can be a gateway's; raises InvalidParam, MissingParam.

    Where its name leads is looked at when it is called: it may lead elsewhere by then.
    """
    url = data.get("url")
    if url is None:
        raise MissingParam("The data of a pusher must have the url of its gateway")
    if not isinstance(url, str) or len(url) > URL_BYTES_MAX or not url.isascii():
        raise InvalidParam("The url of a gateway must be an address of the web")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidParam("The url of a gateway must be an address of the web") from error
    if not host or parts.username is not None or parts.query or parts.fragment:
        raise InvalidParam("The url of a gateway is https, a host, perhaps a port, and a path")
    if parts.path != GATEWAY_PATH:
        raise InvalidParam(f"The path of a gateway's url must be {GATEWAY_PATH}")
    if not allow_private:
        _check_public(parts, host)
    elif parts.scheme not in ("https", "http"):
        raise InvalidParam("The url of a gateway must begin with https://")


def _check_public(parts: SplitResult, host: str) -> None:
    if parts.scheme != "https":
        raise InvalidParam("The url of a gateway must begin with https://")
    try:
        address = ip_address(host)
    except ValueError:
        return  # a name
    if not address.is_global:
        raise InvalidParam("The gateway must be at a public address")
