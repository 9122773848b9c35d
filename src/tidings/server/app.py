"""The composition root: builds every object once, by name, visibly."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from secrets import token_hex, token_urlsafe

import httpcore

from tidings.server.api import (
    account,
    account_data,
    admin,
    cross_signing,
    dehydrated_devices,
    devices,
    filters,
    key_backup,
    keys,
    login,
    media,
    media_legacy,
    mutual_rooms,
    notifications,
    openid,
    presence,
    profiles,
    push_rules,
    pushers,
    receipts,
    refusals,
    registration,
    relations,
    reports,
    resumable_uploads,
    room_previews,
    room_upgrades,
    rooms_create,
    rooms_history,
    rooms_membership,
    rooms_send,
    rooms_state,
    search,
    sliding_sync,
    sync,
    sync_socket,
    tags,
    third_party,
    thumbnails,
    to_device,
    typing,
    url_previews,
    user_directory,
    versions,
    voip,
)
from tidings.server.api import directory as api_directory
from tidings.server.config import Config
from tidings.server.http.app import HttpApp
from tidings.server.http.limits import RateLimiter
from tidings.server.http.routing import Route, Router
from tidings.server.live.feed import Feed
from tidings.server.live.presence import Presence
from tidings.server.live.present import Present
from tidings.server.live.rooms import Rooms
from tidings.server.live.sessions import Sessions
from tidings.server.live.typing import Typing
from tidings.server.live.users import Users
from tidings.server.services.access import Access
from tidings.server.services.account_data import AccountData, initial_account_data
from tidings.server.services.accounts import Accounts
from tidings.server.services.badges import Badges
from tidings.server.services.bundles import Bundles
from tidings.server.services.credentials import Credentials
from tidings.server.services.cross_signing import CrossSigning
from tidings.server.services.decoder import Decoder
from tidings.server.services.dehydrated_devices import DehydratedDevices
from tidings.server.services.deliveries import Deliveries
from tidings.server.services.device_keys import DeviceKeyring
from tidings.server.services.device_lists import DeviceListReader
from tidings.server.services.devices import Devices
from tidings.server.services.directory import Directory
from tidings.server.services.filters import Filters
from tidings.server.services.history import History
from tidings.server.services.invitations import Invitations
from tidings.server.services.key_backup import KeyBackup
from tidings.server.services.logins import Logins
from tidings.server.services.media import Media
from tidings.server.services.media_retention import MediaRetention
from tidings.server.services.membership import Membership
from tidings.server.services.moderation import Moderation
from tidings.server.services.mutual_rooms import MutualRooms
from tidings.server.services.notice_trimmer import NoticeTrimmer
from tidings.server.services.notices import Notices
from tidings.server.services.notifications import Notifications
from tidings.server.services.openid import OpenId
from tidings.server.services.outgoing import CheckedNetwork, Outgoing, resolve
from tidings.server.services.pages import Pages
from tidings.server.services.passwords import Passwords
from tidings.server.services.past import PastState
from tidings.server.services.presence import PresenceTracker
from tidings.server.services.profiles import Profiles
from tidings.server.services.push_outbox import PushOutbox
from tidings.server.services.push_queue import PushQueue
from tidings.server.services.push_rules import PushRules
from tidings.server.services.pushers import Pushers
from tidings.server.services.receipts import Receipts
from tidings.server.services.registration import Registration
from tidings.server.services.related import Related
from tidings.server.services.reports import Reports
from tidings.server.services.resumable_uploads import ResumableUploads
from tidings.server.services.room_list import RoomList
from tidings.server.services.room_previews import RoomPreviews
from tidings.server.services.rooms import RoomCreator
from tidings.server.services.search import Search
from tidings.server.services.search_indexer import SearchIndexer
from tidings.server.services.search_results import SearchResults
from tidings.server.services.search_scope import Scopes
from tidings.server.services.signing import ServerSigner, new_private_key
from tidings.server.services.sliding_board import Boards
from tidings.server.services.sliding_connections import Connections
from tidings.server.services.sliding_devices import DeviceExtensions
from tidings.server.services.sliding_extensions import Extensions
from tidings.server.services.sliding_rooms import RoomReader
from tidings.server.services.sliding_sync import SlidingSync
from tidings.server.services.state import StateReader, StateSetter
from tidings.server.services.sync import Sync
from tidings.server.services.sync_recent import RecentSync
from tidings.server.services.sync_request import Devices as SyncDevices
from tidings.server.services.sync_stored import StoredSync
from tidings.server.services.thumbnails import Thumbnails
from tidings.server.services.timeline import Timeline
from tidings.server.services.to_device import ToDevice
from tidings.server.services.tokens import new_media_id
from tidings.server.services.typing import TypingNotifications
from tidings.server.services.upgrades import Upgrades
from tidings.server.services.url_previews import UrlPreviews
from tidings.server.services.user_directory import UserDirectory
from tidings.server.services.user_interactive import UserInteractive
from tidings.server.storage.accounts import AccountStore
from tidings.server.storage.auth_sessions import AuthSessionStore
from tidings.server.storage.changes import ChangeReader
from tidings.server.storage.cross_signing import CrossSigningStore
from tidings.server.storage.database import Database, Driver
from tidings.server.storage.dehydrated_devices import DehydratedDeviceStore
from tidings.server.storage.device_keys import DeviceKeyStore
from tidings.server.storage.device_lists import DeviceListStore
from tidings.server.storage.devices import DeviceStore
from tidings.server.storage.events import EventStore
from tidings.server.storage.files import FileStore
from tidings.server.storage.filters import FilterStore
from tidings.server.storage.key_backup import KeyBackupStore
from tidings.server.storage.media import MediaStore
from tidings.server.storage.migrate import ensure_newest
from tidings.server.storage.notifications import NotificationStore
from tidings.server.storage.openid import OpenIdStore
from tidings.server.storage.people import PeopleStore
from tidings.server.storage.postgresql import PostgresDriver
from tidings.server.storage.profiles import ProfileStore
from tidings.server.storage.pushers import PusherStore
from tidings.server.storage.pushes import PushStore
from tidings.server.storage.relations import RelationStore
from tidings.server.storage.reports import ReportStore
from tidings.server.storage.resumable_uploads import ResumableStore
from tidings.server.storage.room_list import RoomListStore
from tidings.server.storage.rooms import RoomStore
from tidings.server.storage.search import SearchIndex, SearchSource
from tidings.server.storage.search_postgresql import PostgresSearchIndex
from tidings.server.storage.search_sqlite import SqliteSearchIndex
from tidings.server.storage.server_keys import load_signing_key
from tidings.server.storage.sliding_sync import SlidingSyncStore
from tidings.server.storage.sqlite import SqliteDriver
from tidings.server.storage.sync import SyncStore
from tidings.server.storage.to_device import ToDeviceStore
from tidings.server.storage.url_previews import UrlPreviewStore
from tidings.server.storage.user_directory import UserDirectoryStore
from tidings.server.workers.media import keep_media
from tidings.server.workers.notices import trim_notices
from tidings.server.workers.presence import publish_presence
from tidings.server.workers.push import push_notifications
from tidings.server.workers.push_gateway import gateways
from tidings.server.workers.search import index_messages
from tidings.server.workers.typing import end_typing


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Server:
    """A homeserver that can be started and closed; `asgi` answers requests."""

    def __init__(self, config: Config, clock_ms: Callable[[], int] = now_ms) -> None:
        self.config = config
        self._now_ms = clock_ms
        self._stack = AsyncExitStack()
        self.db = Database(_driver_of(config))

    async def start(self) -> None:
        """Open, and start the workers."""
        await self.open()
        self.sessions.start()
        self._stack.push_async_callback(self.sessions.close)
        await self._start_workers()

    async def open(self) -> None:
        """Migrate, connect, read into memory: all that an administrator's command needs."""
        if not self.config.database:
            folder = Path(self.config.data_dir)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # noqa: ASYNC240 - once
        await ensure_newest(self.config.database_url)
        self._build_stores()
        await self.db.open()
        self._stack.push_async_callback(self.db.close)
        key_id, private_key = await load_signing_key(
            self.db, (f"ed25519:{token_hex(3)}", new_private_key()), self._now_ms()
        )
        signer = ServerSigner(self.config.server_name, key_id, private_key)
        self.asgi = self._build_services(signer)

    async def _start_workers(self) -> None:
        await self.presence_tracker.start()
        flush_ms = self.config.presence.flush_ms
        self._run(publish_presence(self.presence_tracker, flush_ms), "presence")
        self._run(end_typing(self.typing, self.typing_notifications.end_expired), "typing")
        trimmer = NoticeTrimmer(self.db, self.people)
        self.feed.watch(trimmer.watch)
        self._run(trim_notices(trimmer), "notices")
        await self._start_pushing()
        await self.search_index.open()
        self._stack.push_async_callback(self.search_index.close)
        self._run(index_messages(self.search_indexer), "search")
        self._run(keep_media(self.media, self.media_retention), "media")

    async def _start_pushing(self) -> None:
        db, now = self.db, self._now_ms
        pushers, pushes = PusherStore(), PushStore()
        queue = PushQueue(db, self.feed, self.rooms, self.users, pushers, pushes, now)
        outbox = PushOutbox(
            db, self.rooms, self.users, Badges(self.people, self.users, self.rooms), pushers,
            pushes, now, self.config.push.give_up_ms,
        )  # fmt: skip
        await queue.start()
        self.feed.watch(queue.watch)
        self._stack.push_async_callback(queue.close)
        settings = self.config.push
        self._run(push_notifications(queue, outbox, gateways(settings), settings), "push")

    def _run(self, worker: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(worker, name=name)

        async def stop() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self._stack.push_async_callback(stop)

    async def close(self) -> None:
        """Stop the workers, commit what waits, disconnect."""
        await self._stack.aclose()

    def _build_stores(self) -> None:
        self.events, self.room_store, self.people = EventStore(), RoomStore(), PeopleStore()
        self.account_store, self.device_store = AccountStore(), DeviceStore()
        self.profile_store = ProfileStore()
        self.feed = Feed()
        self.rooms = Rooms(self.room_store, self.events, self.feed)
        self.device_key_store = DeviceKeyStore()
        self.users = Users(
            self.people, self.room_store, self.device_key_store, self.rooms, self.feed
        )
        self.presence = Presence(self.config.presence.room_members_max)
        self.typing = Typing()
        self.sessions = Sessions(self.db, self.device_store, self._now_ms)
        self.present = Present(
            self.people, self.feed, self.rooms, self.users, self.typing, self.presence,
            self.sessions,
        )  # fmt: skip
        self.db.publish = self.present.publish
        self.db.read_changes = ChangeReader(
            self.events, self.room_store, self.people, self.device_store
        ).read
        self.db.reset = self.present.reset

    def _build_services(self, signer: ServerSigner) -> HttpApp:
        config, now = self.config, self._now_ms
        self.limiter = RateLimiter(config.rate_limits)
        self.timeline = Timeline(
            self.db, self.events, self.room_store, self.people, self.rooms, self.users, signer, now
        )
        self.membership = Membership(
            self.db, self.room_store, self.rooms, self.timeline, self.profile_store.shown,
            Invitations(self.people, config.server_name),
        )  # fmt: skip
        routes = [
            *refusals.routes(),
            *self._moderation_routes(),
            *self._contact_routes(),
            *self._account_routes(),
            *self._profile_routes(),
            *self._room_routes(),
            *self._personal_routes(),
            *self._search_routes(),
            *self._encryption_routes(),
            *self._sync_routes(),
            *self._media_routes(),
        ]
        self.router = Router(routes)
        app = HttpApp(self.router, self.sessions, self.limiter, config.limits.request_bytes_max)
        app.log_requests = config.log_requests
        if config.dev:
            app.count_queries = lambda: self.db.queries
        return app

    def _account_routes(self) -> list[Route]:
        config, db, now = self.config, self.db, self._now_ms
        name = config.server_name
        passwords = Passwords(config.passwords)
        self._stack.callback(passwords.close)
        own_devices = Devices(db, self.device_store, config.sessions.access_token_ms, now)
        credentials = Credentials(db, self.account_store, passwords, name, self.limiter.take)
        self.registration = Registration(db, self.account_store, own_devices, passwords, name, now)
        self.user_interactive = uia = UserInteractive(
            db, AuthSessionStore(), credentials, self.registration, now
        )
        logins = Logins(db, self.account_store, self.device_store, own_devices, credentials, now)
        self.accounts = Accounts(
            db, self.account_store, self.device_store, passwords, self.membership.leave_all
        )
        return [
            *registration.routes(self.registration, uia, config.registration),
            *login.routes(logins, own_devices, uia),
            *account.routes(self.accounts, uia),
            *devices.routes(own_devices, uia),
        ]

    def _profile_routes(self) -> list[Route]:
        db, store = self.db, self.profile_store
        propagate = self.membership.propagate_profile
        shown = Profiles(db, self.account_store, store, propagate)
        directory = UserDirectory(db, UserDirectoryStore(), store, self.config.user_directory)
        return [*profiles.routes(shown), *user_directory.routes(directory)]

    def _room_routes(self) -> list[Route]:
        config, db, now = self.config, self.db, self._now_ms
        creator = RoomCreator(
            db, self.room_store, self.rooms, self.timeline, self.profile_store.shown,
            Invitations(self.people, config.server_name), config,
            lambda: token_urlsafe(18), now,
        )  # fmt: skip
        past, store = PastState(self.events), self.room_store
        access = Access(self.rooms, store, self.events)
        bundles = Bundles(self.events, RelationStore())
        directory = Directory(db, store, self.rooms, access, self.timeline, config.server_name, now)
        listed = RoomList(db, RoomListStore(), store, self.rooms, config.publish_rooms)
        setter = StateSetter(db, self.rooms, store, self.timeline)
        pages = Pages(self.events, self.people)
        past_events = History(db, self.events, pages, access, bundles, past)
        related = Related(db, self.events, RelationStore(), access, bundles)
        return [
            *versions.routes(config),
            *rooms_create.routes(creator),
            *room_upgrades.routes(Upgrades(db, store, self.rooms, self.timeline, creator)),
            *rooms_membership.routes(self.membership, directory),
            *rooms_send.routes(self.timeline),
            *rooms_state.read_routes(StateReader(db, access, past), directory, now),
            *rooms_state.write_routes(setter, self.membership),
            *rooms_history.routes(past_events, now),
            *relations.routes(related, now),
            *api_directory.routes(directory, listed, config.server_name),
            *room_previews.routes(RoomPreviews(db, self.rooms, store), directory),
        ]

    def _moderation_routes(self) -> list[Route]:
        db, accounts, store = self.db, self.account_store, self.room_store
        access = Access(self.rooms, store, self.events)
        reported = Reports(db, ReportStore(), accounts, (store, access), self._now_ms)
        moderation = Moderation(db, accounts, self.device_store, self.config.server_name)
        return [*admin.routes(moderation), *reports.routes(reported)]

    def _contact_routes(self) -> list[Route]:
        config, db, now = self.config, self.db, self._now_ms
        return [
            *third_party.routes(),
            *voip.routes(config.turn, now),
            *openid.routes(OpenId(db, OpenIdStore(), now), config.server_name),
            *mutual_rooms.routes(MutualRooms(db, self.room_store)),
        ]

    def _personal_routes(self) -> list[Route]:
        db, people, rooms, now = self.db, self.people, self.rooms, self._now_ms
        kept = AccountData(db, people, Notices(people, self.users))
        self.filters = Filters(db, FilterStore())
        self.typing_notifications = TypingNotifications(db, people, rooms, self.typing, now)
        self.presence_tracker = PresenceTracker(
            db, people, self.presence, now, is_enabled=self.config.presence.enabled
        )
        self.feed.watch(self.presence_tracker.watch)
        notified = Notifications(db, rooms, self.users, NotificationStore())
        own_pushers = Pushers(
            db, PusherStore(), now, allow_private=self.config.push.private_gateways
        )
        return [
            *account_data.routes(kept),
            *tags.routes(kept),
            *push_rules.routes(PushRules(db, people, kept)),
            *pushers.routes(own_pushers),
            *notifications.routes(notified, now),
            *receipts.routes(Receipts(db, self.events, people, rooms, kept, now)),
            *filters.routes(self.filters),
            *typing.routes(self.typing_notifications),
            *presence.routes(self.presence_tracker),
        ]

    def _encryption_routes(self) -> list[Route]:
        db, name = self.db, self.config.server_name
        self.device_lists = DeviceListReader(db, DeviceListStore())
        keyring = DeviceKeyring(db, self.device_key_store, CrossSigningStore(), name)
        return [
            *keys.routes(keyring, self.device_lists),
            *cross_signing.routes(
                CrossSigning(db, CrossSigningStore(), self.device_key_store), self.user_interactive
            ),
            *dehydrated_devices.routes(
                DehydratedDevices(
                    db,
                    DehydratedDeviceStore(),
                    self.device_store,
                    keyring,
                    ToDeviceStore(),
                    self._now_ms,
                )
            ),
            *key_backup.routes(KeyBackup(db, KeyBackupStore())),
            *to_device.routes(ToDevice(db, ToDeviceStore(), self._now_ms)),
        ]

    def _search_routes(self) -> list[Route]:
        db, events, source = self.db, self.events, SearchSource()
        index = self.search_index = _index_of(self.config)
        self.search_indexer = SearchIndexer(db, index, source, events, RelationStore())
        self.feed.watch(self.search_indexer.watch)
        scopes = Scopes(self.room_store, self.people, source)
        results = self.search_results = SearchResults(
            db,
            Search(index, self.search_indexer, source, scopes),
            Access(self.rooms, self.room_store, events),
            Pages(events, self.people),
            PastState(events),
            Bundles(events, RelationStore()),
        )
        return search.routes(results, self._now_ms)

    def _sync_routes(self) -> list[Route]:
        now = self._now_ms
        stored = StoredSync(
            self.db, SyncStore(), self.people, ToDeviceStore(), self.device_lists, self.present,
            initial_account_data, now,
        )  # fmt: skip
        recent = RecentSync(self.present, now)
        deliveries = Deliveries(self.db, ToDeviceStore())
        self._stack.push_async_callback(deliveries.close)
        service = Sync(self.db, self.present, recent, stored, deliveries)
        synced = SyncDevices()
        reader = sync.SyncReader(self.filters, self.presence_tracker, synced, self.config.limits)
        devices = DeviceExtensions(
            self.present, synced, ToDeviceStore(), self.device_lists, deliveries
        )
        self.direct_sync = sync.direct(service, reader, self.sessions, self.limiter)
        self.socket_opener = sync_socket.opener(service, reader, self.sessions, self.limiter)
        return [*sync.routes(service, reader), *self._sliding_sync_routes(reader, devices)]

    def _sliding_sync_routes(
        self, reader: sync.SyncReader, devices: DeviceExtensions
    ) -> list[Route]:
        store = SlidingSyncStore()
        bundles = Bundles(self.events, RelationStore())
        service = SlidingSync(
            self.db,
            self.present,
            Connections(lambda: token_urlsafe(9)),
            Boards(self.db, store, self.feed),
            RoomReader(store, SyncStore(), self.rooms, bundles),
            Extensions(self.present, store, self.people, initial_account_data, devices),
            self._now_ms,
        )
        return sliding_sync.routes(service, reader, self.config.limits.sync_timeout_ms_max)

    def _media_routes(self) -> list[Route]:
        config, db, now = self.config, self.db, self._now_ms
        store, files = MediaStore(), FileStore(Path(config.data_dir) / "media", new_media_id)
        self._stack.callback(files.close)
        self.media = Media(db, store, files, config.media, now)
        self.media_retention = MediaRetention(db, store, files, config.media, now)
        decoder = Decoder()
        self._stack.push_async_callback(decoder.close)
        made = Thumbnails(db, store, files, decoder)
        in_parts = ResumableUploads(db, ResumableStore(), files, self.media, now)
        current = [
            *media.routes(self.media, config.server_name),
            *resumable_uploads.routes(in_parts, config.server_name),
            *thumbnails.routes(self.media, made, config.server_name),
            *url_previews.routes(self._url_previews(decoder), is_enabled=config.previews.enabled),
        ]
        return [*current, *media_legacy.routes(current)]

    def _url_previews(self, decoder: Decoder) -> UrlPreviews:
        settings = self.config.previews
        network = CheckedNetwork(
            resolve, httpcore.AnyIOBackend(), is_loopback_allowed=settings.loopback
        )
        outgoing = Outgoing(network)
        self._stack.push_async_callback(outgoing.close)
        return UrlPreviews(
            self.db, UrlPreviewStore(), self.media, decoder, outgoing, settings,
            self.config.server_name, self._now_ms,
        )  # fmt: skip


def _driver_of(config: Config) -> Driver:
    url = config.database_url
    if url.startswith("sqlite:///"):
        return SqliteDriver(Path(url.removeprefix("sqlite:///")))
    return PostgresDriver(url)


def _index_of(config: Config) -> SearchIndex:
    url = config.database_url
    if url.startswith("sqlite:///"):
        return SqliteSearchIndex(Path(url.removeprefix("sqlite:///")))
    return PostgresSearchIndex(url)


async def build(config: Config, clock_ms: Callable[[], int] = now_ms) -> Server:
    """A server ready to answer; the caller closes it."""
    server = Server(config, clock_ms)
    await server.start()
    return server
