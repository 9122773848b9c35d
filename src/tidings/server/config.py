"""The settings: one typed tree from a TOML file, the environment and flags.

Each field's text is its documentation: the example file is generated from it.
Later sources win: defaults, file, `TIDINGS_…` variables, flags.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

ENV_PREFIX = "TIDINGS_"


class ConfigError(Exception):
    """A setting that is unknown or cannot be; the sentence names it."""


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    per_second: float = 10.0
    """How many are allowed in the long run."""
    burst: int = 50
    """How many may come at once."""


class RateLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    """Whether requests are limited at all."""
    send: RateLimit = RateLimit(10.0, 50)
    """Events and other writes, for each user."""
    login: RateLimit = RateLimit(0.2, 10)
    """Sign-ins and password checks, for each address and for each account."""
    register: RateLimit = RateLimit(0.2, 10)
    """New accounts, for each address."""
    media: RateLimit = RateLimit(2.0, 100)
    """Uploads and previews of addresses, for each user."""
    request: RateLimit = RateLimit(50.0, 200)
    """Requests of any other kind, for each user or address."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    request_bytes_max: int = 1_048_576
    """The largest request body, media apart."""
    sync_timeout_ms_max: int = 120_000
    """The longest time a /sync may wait for news."""
    rooms_created_invites_max: int = 500
    """How many people may be invited while a room is created."""


class Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    """Whether people see who is online."""
    room_members_max: int = 100
    """Rooms with more members do not carry presence."""
    flush_ms: int = 1_000
    """Changes are gathered this long before they are published together."""


class Passwords(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    memory_kib: int = 19_456
    """Memory that argon2id uses for one hash."""
    iterations: int = 2
    """Passes that argon2id makes over it."""
    length_min: int = 8
    """The shortest password that is accepted."""
    hashes_at_once: int = 2
    """How many hashes are computed at the same time; others wait."""


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mode: str = "token"
    """`open`: anyone; `token`: with a registration token; `closed`: nobody."""
    guests: bool = False
    """Whether guest accounts may be made."""


class Sessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access_token_ms: int = 300_000
    """How long an access token lasts for clients that can refresh it; others' do not expire."""


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    upload_bytes_max: int = 104_857_600
    """The largest upload; clients are told."""
    resumable_bytes_max: int = 2_147_483_648
    """The largest upload that may come in parts."""
    user_bytes_max: int = 0
    """How much one user may have uploaded in all; 0: as much as they like."""
    pending_max: int = 20
    """How many uploads a user may have announced or begun that have not come yet."""
    pending_ms: int = 86_400_000
    """How long an announced upload may take to come; one in parts, to go on."""
    wait_ms_max: int = 60_000
    """The longest time a download waits for an announced upload."""
    thumbnail_pixels_max: int = 50_000_000
    """The largest picture that thumbnails are made of; each frame of an animation counts."""
    retention_days: int = 0
    """Media nobody has looked at for so long is deleted; 0: it is kept for ever."""


class Previews(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = False
    """Whether the server fetches pages that are linked in messages, to show what they are."""
    cache_ms: int = 3_600_000
    """How long a preview is kept."""
    page_bytes_max: int = 524_288
    """How much of a page is read."""
    image_bytes_max: int = 10_485_760
    """The largest picture that a preview may have."""
    timeout_ms: int = 10_000
    """How long a page and its picture may take to come."""
    loopback: bool = False
    """Whether pages of this machine are fetched as well; other private addresses never are."""


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    private_gateways: bool = False
    """Whether push gateways may have private addresses, and do without TLS."""
    timeout_ms: int = 10_000
    """How long a gateway may take to answer."""
    retry_first_ms: int = 1_000
    """After which time a gateway that failed is tried again; each further time twice as long."""
    retry_max_ms: int = 900_000
    """The longest time between two attempts."""
    give_up_ms: int = 86_400_000
    """After which time a notification is not worth being pushed any more."""


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    uris: tuple[str, ...] = ()
    """The addresses of the TURN server, such as turn:turn.example.org?transport=udp."""
    shared_secret: str = ""
    """The `static-auth-secret` of coturn."""
    lifetime_s: int = 86_400
    """How long credentials are good."""


class Support(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: str = ""
    """The address of whoever runs this server, shown to everybody."""
    matrix_id: str = ""
    """The same, as a user id."""
    page: str = ""
    """The address of a page that helps the people of this server."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server_name: str = "localhost"
    """The name in user ids, @alice:server_name. It can never be changed afterwards."""
    public_url: str = ""
    """The address clients use, https://chat.example.org; empty: where the server listens."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = 8008
    """The port to listen on."""
    data_dir: str = "data"
    """Where the database, keys and media are kept."""
    database: str = ""
    """Empty: SQLite in the data folder. Or postgresql://user:password@host/name."""
    dev: bool = False
    """For tests and benchmarks on loopback only: no limits, open registration, cheap passwords."""
    default_room_version: str = "11"
    """The version of new rooms: 10, 11 or 12 (some clients in use do not know 12)."""
    user_directory: str = "everyone"
    """Whom a search for people finds: `everyone` on this server, or only who is in `shared_rooms`
    with the searcher and in rooms that are open to all."""
    publish_rooms: str = "admins"
    """Who may list rooms in the directory: `everyone` or `admins`."""
    log_requests: bool = False
    """Whether each request is logged, in one line."""
    rate_limits: RateLimits = RateLimits()
    limits: Limits = Limits()
    presence: Presence = Presence()
    passwords: Passwords = Passwords()
    registration: Registration = Registration()
    sessions: Sessions = Sessions()
    turn: Turn = Turn()
    support: Support = Support()
    media: Media = Media()
    previews: Previews = Previews()
    push: Push = Push()

    @property
    def database_url(self) -> str:
        """The database, SQLite's path included."""
        return self.database or f"sqlite:///{Path(self.data_dir).resolve() / 'tidings.db'}"


def load_config(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]
) -> Config:
    """Read the settings; raises ConfigError with the name of what is wrong."""
    tree: dict[str, object] = {}
    if file is not None:
        try:
            tree = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is not TOML: {error}") from error
    known = {f"{ENV_PREFIX}{'__'.join(path).upper()}": path for path in setting_paths(Config)}
    for name, value in environment.items():
        if name in known:
            _put(tree, known[name], value)
    for name, flag in flags.items():
        if flag is not None:
            tree[name] = flag
    try:
        config = msgspec.convert(tree, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings: {error}") from error
    return _checked(_for_development(config) if config.dev else config)


def setting_paths(kind: type[msgspec.Struct]) -> list[tuple[str, ...]]:
    """The path of every setting in the tree."""
    paths: list[tuple[str, ...]] = []
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            paths += [(field.name, *rest) for rest in setting_paths(field.type)]
        else:
            paths.append((field.name,))
    return paths


def _put(tree: dict[str, object], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        branch = tree.setdefault(name, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"settings: {name} must be a table")
        tree = branch
    tree[path[-1]] = value


def _for_development(config: Config) -> Config:
    if config.host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(
            f"--dev switches protections off and listens on loopback only, not on {config.host}"
        )
    return msgspec.structs.replace(
        config,
        rate_limits=msgspec.structs.replace(config.rate_limits, enabled=False),
        registration=Registration(mode="open", guests=True),
        passwords=Passwords(memory_kib=8, iterations=1, length_min=1),
        publish_rooms="everyone",
        push=msgspec.structs.replace(config.push, private_gateways=True),
        previews=msgspec.structs.replace(config.previews, enabled=True, loopback=True),
    )


def _checked(config: Config) -> Config:
    choices = {
        "registration.mode": (config.registration.mode, ("open", "token", "closed")),
        "publish_rooms": (config.publish_rooms, ("everyone", "admins")),
        "user_directory": (config.user_directory, ("everyone", "shared_rooms")),
        "default_room_version": (config.default_room_version, ("10", "11", "12")),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
    if not 0 <= config.port <= 65535:
        raise ConfigError(f"port must be between 0 and 65535, not {config.port}")
    if config.database and not config.database.startswith(("postgresql://", "sqlite:///")):
        raise ConfigError("database must be empty or start with postgresql:// or sqlite:///")
    return config
