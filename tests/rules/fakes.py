"""A room held in a dict, events without a history, a key that never changes."""

import msgspec
from nacl.signing import SigningKey

from tidings.protocol.events import Event, JsonObject
from tidings.protocol.ids import EventId, RoomId, StreamPosition, UserId
from tidings.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tidings.rules.power_levels import PowerLevels, creators_of

ALICE, BOB, CAROL, DAVE = (UserId(f"@{name}:here") for name in ("alice", "bob", "carol", "dave"))
ROOM = RoomId("!room:here")
V10, V11, V12 = ROOM_VERSIONS["10"], ROOM_VERSIONS["11"], ROOM_VERSIONS["12"]


def event(
    type: str, sender: str, content: JsonObject, state_key: str | None = None, *, position: int = 1
) -> Event:
    return Event(
        position=StreamPosition(position),
        room_id=ROOM,
        event_id=EventId(f"${position}"),
        type=type,
        sender=UserId(sender),
        state_key=state_key,
        origin_server_ts=position,
        json=msgspec.json.encode({"content": content}),
    )


class FakeRoom:
    """A room created by Alice, who alone is in it."""

    def __init__(self, version: RoomVersion = V12) -> None:
        self.room_id = ROOM
        self.version = version
        self.state: dict[tuple[str, str], Event] = {}
        create: JsonObject = {"room_version": version.id}
        if version.creator_in_content:
            create["creator"] = ALICE
        self.put("m.room.create", create)
        self.member(ALICE, "join")

    @property
    def power_levels(self) -> PowerLevels:
        create, levels = self.get("m.room.create", ""), self.get("m.room.power_levels", "")
        creators = creators_of(create, self.version) if create else frozenset[UserId]()
        return PowerLevels.parse(levels.content if levels else None, self.version, creators)

    def get(self, type: str, state_key: str, /) -> Event | None:
        return self.state.get((type, state_key))

    def put(self, type: str, content: JsonObject, state_key: str = "") -> "FakeRoom":
        self.state[type, state_key] = event(type, ALICE, content, state_key)
        return self

    def member(self, user_id: str, membership: str) -> "FakeRoom":
        return self.put("m.room.member", {"membership": membership}, user_id)

    def join_rule(self, join_rule: str) -> "FakeRoom":
        return self.put("m.room.join_rules", {"join_rule": join_rule})

    def levels(self, **content: object) -> "FakeRoom":
        return self.put("m.room.power_levels", content)


class FakeSigner:
    """Signs with the key of the spec's test vectors."""

    server_name = "domain"
    key_id = "ed25519:1"

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.verify_key = self._key.verify_key

    def sign(self, data: bytes, /) -> bytes:
        return self._key.sign(data).signature
