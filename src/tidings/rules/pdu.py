"""A draft becomes an event: hashed, signed and named by its hash.

An event is kept in two halves: the client format, which readers splice into
answers, and what only federation wants to know. Both are assembled from
pieces encoded once, in canonical key order, so that the content, which is
most of an event, is serialised a single time.
Source: server-server API, "Signing Events"; room versions, "Event format" and "Event IDs".
"""

from base64 import b64encode, urlsafe_b64encode
from hashlib import sha256
from typing import Protocol

import msgspec

from tidings.protocol.canonical_json import check_canonical, encode_canonical
from tidings.protocol.errors import BadJson, TooLarge
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import ID_BYTES_MAX, EventId, RoomId
from tidings.protocol.room_versions import RoomVersion
from tidings.rules.redaction import redact, redact_client_json, redact_content

__all__ = [
    "Built",
    "Placement",
    "Signer",
    "build",
    "redact",
    "redact_client_json",
    "restore_pdu",
]

PDU_BYTES_MAX = 65536


class Signer(Protocol):
    """The server's signing key."""

    @property
    def server_name(self) -> str:
        """The name the key speaks for."""

    @property
    def key_id(self) -> str:
        """Algorithm and version, such as `ed25519:a_1`."""

    def sign(self, data: bytes, /) -> bytes:
        """The raw signature of the data."""


class Placement(msgspec.Struct, frozen=True):
    """Where in its room's history an event is put."""

    auth_events: list[EventId]
    prev_events: list[EventId]
    depth: int
    origin_server_ts: int


class Built(msgspec.Struct, frozen=True):
    """An event ready to be stored."""

    event_id: EventId
    room_id: RoomId
    json: bytes
    """Client format, ending in `}`, without room_id and unsigned."""
    pdu: bytes
    """A JSON object of what the federation format has and the client format lacks."""


def build(draft: Draft, version: RoomVersion, placement: Placement, signer: Signer) -> Built:
    """Hash, sign and serialise an authorised draft; raises TooLarge, or BadJson for its content."""
    _check_sizes(draft)
    check_canonical(draft.content)
    parts = _encode_parts(draft, version, placement)
    unhashed = parts.federation_json(parts.content, b"", parts.redacts_beside)
    hashes = b'"hashes":{"sha256":"%b"},' % b64encode(sha256(unhashed).digest())[:43]
    # The reference hash covers just what the signature covers: one encoding serves both.
    redacted = parts.federation_json(parts.redacted_content, hashes, b"")
    event_id = b"$" + urlsafe_b64encode(sha256(redacted).digest())[:43]
    signatures = b'"signatures":{%b:{%b:"%b"}}' % (
        encode_canonical(signer.server_name),
        encode_canonical(signer.key_id),
        b64encode(signer.sign(redacted)).rstrip(b"="),
    )
    if len(unhashed) + len(hashes) + len(signatures) + 1 > PDU_BYTES_MAX:
        raise TooLarge(f"Events may be at most {PDU_BYTES_MAX} bytes long")
    is_named_by_hash = version.room_id_is_create_hash and draft.type == "m.room.create"
    return Built(
        event_id=EventId(event_id.decode()),
        room_id=RoomId("!" + event_id[1:].decode()) if is_named_by_hash else draft.room_id,
        json=parts.client_json(event_id),
        pdu=parts.federation_half(hashes, signatures),
    )


def restore_pdu(json: bytes, pdu: bytes, version: RoomVersion) -> JsonObject:
    """The federation format of an event from the halves `build` made, redacted or not."""
    event = msgspec.json.decode(json, type=dict[str, object])
    event.update(msgspec.json.decode(pdu, type=dict[str, object]))
    del event["event_id"]
    if event["type"] != "m.room.redaction":
        return event
    content = event["content"]
    if version.redacts_in_content:
        event.pop("redacts", None)
    elif isinstance(content, dict):
        content.pop("redacts", None)
    return event


class _Parts(msgspec.Struct, frozen=True):
    """The encoded values of an event's members, put together in canonical order of keys."""

    auth_events: bytes
    content: bytes
    redacted_content: bytes
    client_content: bytes
    depth: int
    origin_server_ts: int
    prev_events: bytes
    redacts_beside: bytes
    """The member `redacts` of the federation format, with its comma."""
    redacts: bytes
    """The same of the client format."""
    room_id: bytes
    """The member, with its comma; empty where the id is made from the event's hash."""
    rest: bytes
    """`sender`, `state_key` and `type`: the end of every format."""

    def federation_json(self, content: bytes, hashes: bytes, redacts: bytes) -> bytes:
        """The federation format without signatures: what is hashed, and what is signed."""
        return (
            b'{"auth_events":%b,"content":%b,"depth":%d,%b"origin_server_ts":%d,"prev_events":%b'
            b"%b%b%b"
        ) % (
            self.auth_events,
            content,
            self.depth,
            hashes,
            self.origin_server_ts,
            self.prev_events,
            redacts,
            self.room_id,
            self.rest,
        )

    def client_json(self, event_id: bytes) -> bytes:
        """What clients are shown."""
        return b'{"content":%b,"event_id":"%b","origin_server_ts":%d%b%b' % (
            self.client_content,
            event_id,
            self.origin_server_ts,
            self.redacts,
            self.rest,
        )

    def federation_half(self, hashes: bytes, signatures: bytes) -> bytes:
        """What only servers are shown."""
        return b'{"auth_events":%b,"depth":%d,%b"prev_events":%b%b,%b}' % (
            self.auth_events,
            self.depth,
            hashes,
            self.prev_events,
            self.room_id,
            signatures,
        )


def _encode_parts(draft: Draft, version: RoomVersion, placement: Placement) -> _Parts:
    content = encode_canonical(draft.content)
    state_key = b""
    if draft.state_key is not None:
        state_key = b'"state_key":%b,' % encode_canonical(draft.state_key)
    room_id = b""
    if not (version.room_id_is_create_hash and draft.type == "m.room.create"):
        room_id = b',"room_id":' + encode_canonical(draft.room_id)
    parts = _Parts(
        auth_events=encode_canonical(placement.auth_events),
        content=content,
        redacted_content=_encode_redacted(draft.type, draft.content, content, version),
        client_content=content,
        depth=placement.depth,
        origin_server_ts=placement.origin_server_ts,
        prev_events=encode_canonical(placement.prev_events),
        redacts_beside=b"",
        redacts=b"",
        room_id=room_id,
        rest=b',"sender":%b,%b"type":%b}'
        % (encode_canonical(draft.sender), state_key, encode_canonical(draft.type)),
    )
    return _with_redacts(parts, draft, version) if draft.type == "m.room.redaction" else parts


def _encode_redacted(
    event_type: str, content: JsonObject, encoded: bytes, version: RoomVersion
) -> bytes:
    kept = redact_content(event_type, content, version)
    if kept is content:
        return encoded
    return encode_canonical(kept) if kept else b"{}"


def _with_redacts(parts: _Parts, draft: Draft, version: RoomVersion) -> _Parts:
    # Clients find `redacts` in both places whatever the version: older ones beside
    # the content, newer ones in it (room version 11, "Moving the redacts property").
    target = draft.redacts or draft.content.get("redacts")
    content = {key: value for key, value in draft.content.items() if key != "redacts"}
    both = content if target is None else {**content, "redacts": target}
    member = b',"redacts":' + encode_canonical(target) if isinstance(target, str) else b""
    if version.redacts_in_content:
        content = both
    return msgspec.structs.replace(
        parts,
        content=encode_canonical(content),
        redacted_content=encode_canonical(redact_content(draft.type, content, version)),
        client_content=encode_canonical(both),
        redacts=member,
        redacts_beside=b"" if version.redacts_in_content else member,
    )


def _check_sizes(draft: Draft) -> None:
    # Client-server API, "Size limits". Four bytes a character at most: short text needs no count.
    for text in (draft.sender, draft.room_id, draft.type, draft.state_key or ""):
        if "\0" in text:  # ours: PostgreSQL's text cannot hold it
            raise BadJson("Types, state keys and ids must not contain the character NUL")
        if len(text) * 4 > ID_BYTES_MAX and len(text.encode(errors="replace")) > ID_BYTES_MAX:
            raise TooLarge(
                f"Types, state keys and ids of events may be at most {ID_BYTES_MAX} bytes long"
            )
