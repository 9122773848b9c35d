"""`build` against a plain program after the spec, itself checked with the spec's test vectors."""

import copy
import hashlib
from base64 import b64decode, b64encode, urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import json_values
from tests.rules.fakes import ALICE, V10, V11, V12, FakeSigner
from tidings.protocol.canonical_json import encode_canonical
from tidings.protocol.errors import BadJson, TooLarge
from tidings.protocol.events import Draft, JsonObject
from tidings.protocol.ids import EventId, RoomId
from tidings.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from tidings.rules import pdu

SIGNER = FakeSigner(b64decode("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1="))
ROOM = RoomId("!room:domain")
PLACE = pdu.Placement([EventId("$a"), EventId("$b")], [EventId("$p")], 7, 1_790_000_000_000)
VERSIONS = list(ROOM_VERSIONS.values())


def unpadded(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def without(event: JsonObject, *keys: str) -> JsonObject:
    return {key: value for key, value in event.items() if key not in keys}


def sign(event: JsonObject, version: RoomVersion) -> JsonObject:
    """The spec's `hash_and_sign_event`."""
    signed = copy.deepcopy(event)
    bare = without(signed, "unsigned", "signatures", "hashes")
    signed["hashes"] = {"sha256": unpadded(hashlib.sha256(encode_canonical(bare)).digest())}
    covered = encode_canonical(without(pdu.redact(signed, version), "signatures", "unsigned"))
    signed["signatures"] = {SIGNER.server_name: {SIGNER.key_id: unpadded(SIGNER.sign(covered))}}
    return signed


def reference_hash(event: JsonObject, version: RoomVersion) -> str:
    covered = without(pdu.redact(event, version), "signatures", "unsigned")
    digest = hashlib.sha256(encode_canonical(covered)).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize(
    ("event", "hash", "signature"),
    [
        (
            {
                "room_id": "!x:domain",
                "sender": "@a:domain",
                "origin": "domain",
                "origin_server_ts": 1000000,
                "signatures": {},
                "hashes": {},
                "type": "X",
                "content": {},
                "prev_events": [],
                "auth_events": [],
                "depth": 3,
                "unsigned": {"age_ts": 1000000},
            },
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            {
                "content": {"body": "Here is the message content"},
                "event_id": "$0:domain",
                "origin": "domain",
                "origin_server_ts": 1000000,
                "type": "m.room.message",
                "room_id": "!r:domain",
                "sender": "@u:domain",
                "signatures": {},
                "unsigned": {"age_ts": 1000000},
            },
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ],
)
def test_vectors_of_the_spec(event: JsonObject, hash: str, signature: str) -> None:
    signed = sign(event, V10)
    assert signed["hashes"] == {"sha256": hash}
    assert signed["signatures"] == {"domain": {"ed25519:1": signature}}


def expected_pdu(draft: Draft, version: RoomVersion) -> JsonObject:
    event: JsonObject = {
        "auth_events": PLACE.auth_events,
        "content": draft.content,
        "depth": PLACE.depth,
        "origin_server_ts": PLACE.origin_server_ts,
        "prev_events": PLACE.prev_events,
        "room_id": draft.room_id,
        "sender": draft.sender,
        "type": draft.type,
    }
    if draft.state_key is not None:
        event["state_key"] = draft.state_key
    if draft.redacts and version.redacts_in_content:
        event["content"] = {**draft.content, "redacts": draft.redacts}
    elif draft.redacts:
        event["redacts"] = draft.redacts
    if version is V12 and draft.type == "m.room.create":
        del event["room_id"]
    return sign(event, version)


_TYPES = st.sampled_from(
    [
        "m.room.message",
        "m.room.member",
        "m.room.create",
        "m.room.power_levels",
        "m.room.join_rules",
        'org.example."quoted"\n',
    ]
)
_KEYS = json_values.texts | st.sampled_from(
    ["membership", "creator", "users", "ban", "third_party_invite", "join_rule", "body"]
)
_DRAFTS = st.builds(
    Draft,
    room_id=st.just(ROOM),
    type=_TYPES,
    sender=st.just(ALICE),
    content=st.dictionaries(_KEYS, json_values.values, max_size=5),
    state_key=st.none() | json_values.texts.filter(lambda text: "\0" not in text),
)
_REDACTIONS = st.builds(
    Draft,
    room_id=st.just(ROOM),
    type=st.just("m.room.redaction"),
    sender=st.just(ALICE),
    content=st.dictionaries(st.just("reason"), json_values.values),
    redacts=st.just(EventId("$target")),
)


@settings(max_examples=300)
@given(_DRAFTS | _REDACTIONS, st.sampled_from(VERSIONS))
def test_builds_what_the_spec_says(draft: Draft, version: RoomVersion) -> None:
    before = copy.deepcopy(draft)
    built = pdu.build(draft, version, PLACE, SIGNER)
    assert draft == before
    expected = expected_pdu(draft, version)
    restored = pdu.restore_pdu(built.json, built.pdu, version)
    assert restored == expected
    assert built.event_id == "$" + reference_hash(expected, version)
    client = msgspec.json.decode(built.json)
    assert encode_canonical(client) == built.json
    assert encode_canonical(msgspec.json.decode(built.pdu)) == built.pdu
    assert client["event_id"] == built.event_id
    assert not client.keys() & msgspec.json.decode(built.pdu).keys()
    assert not client.keys() & {"room_id", "unsigned"}


@given(_DRAFTS | _REDACTIONS, st.sampled_from(VERSIONS))
def test_redacting_keeps_id_and_signature(draft: Draft, version: RoomVersion) -> None:
    built = pdu.build(draft, version, PLACE, SIGNER)
    json = pdu.redact_client_json(built.json, version)
    assert pdu.redact_client_json(json, version) == json
    restored = pdu.restore_pdu(json, built.pdu, version)
    whole = pdu.restore_pdu(built.json, built.pdu, version)
    assert restored == pdu.redact(whole, version)
    assert built.event_id == "$" + reference_hash(restored, version)
    covered = encode_canonical(without(restored, "signatures"))
    signatures = restored["signatures"]
    assert isinstance(signatures, dict)
    signature = b64decode(signatures["domain"]["ed25519:1"] + "==")
    SIGNER.verify_key.verify(covered, signature)


def test_room_ids_of_version_12_are_hashes() -> None:
    create = Draft(RoomId(""), "m.room.create", ALICE, {"room_version": "12"}, "")
    built = pdu.build(create, V12, pdu.Placement([], [], 1, 1), SIGNER)
    assert built.room_id == "!" + built.event_id[1:]
    assert "room_id" not in pdu.restore_pdu(built.json, built.pdu, V12)
    later = pdu.build(Draft(built.room_id, "x", ALICE, {}), V12, PLACE, SIGNER)
    assert later.room_id == built.room_id
    assert pdu.restore_pdu(later.json, later.pdu, V12)["room_id"] == built.room_id
    assert pdu.build(create, V11, PLACE, SIGNER).room_id == ""


@pytest.mark.parametrize(("version", "in_content"), [(V10, False), (V11, True), (V12, True)])
def test_redactions_name_their_target_where_it_is_looked_for(
    version: RoomVersion, in_content: bool
) -> None:
    draft = Draft(ROOM, "m.room.redaction", ALICE, {"reason": "x"}, redacts=EventId("$t"))
    built = pdu.build(draft, version, PLACE, SIGNER)
    client = msgspec.json.decode(built.json)
    assert client["redacts"] == "$t"
    assert client["content"] == {"reason": "x", "redacts": "$t"}
    federated = pdu.restore_pdu(built.json, built.pdu, version)
    assert ("redacts" in federated) is not in_content
    assert federated["content"] == (client["content"] if in_content else {"reason": "x"})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("redacts", ["$t", None, 5, ["$t"]])
def test_a_target_given_in_the_content(version: RoomVersion, redacts: object) -> None:
    draft = Draft(ROOM, "m.room.redaction", ALICE, {"redacts": redacts})
    built = pdu.build(draft, version, PLACE, SIGNER)
    restored = pdu.restore_pdu(built.json, built.pdu, version)
    assert built.event_id == "$" + reference_hash(restored, version)
    assert msgspec.json.decode(built.json).get("redacts") == ("$t" if redacts == "$t" else None)
    bare = without(restored, "hashes", "signatures")
    digest = hashlib.sha256(encode_canonical(bare)).digest()
    assert restored["hashes"] == {"sha256": unpadded(digest)}


def test_the_largest_event() -> None:
    def build(length: int) -> JsonObject:
        draft = Draft(ROOM, "m.room.message", ALICE, {"body": "x" * length})
        built = pdu.build(draft, V12, PLACE, SIGNER)
        return pdu.restore_pdu(built.json, built.pdu, V12)

    room = pdu.PDU_BYTES_MAX - len(encode_canonical(build(0)))
    assert len(encode_canonical(build(room))) == pdu.PDU_BYTES_MAX
    with pytest.raises(TooLarge):
        build(room + 1)


def test_the_longest_names() -> None:
    pdu.build(Draft(ROOM, "é" * 127, ALICE, {}, "x" * 255), V12, PLACE, SIGNER)
    for draft in (
        Draft(ROOM, "é" * 128, ALICE, {}),
        Draft(ROOM, "x", ALICE, {}, "x" * 256),
        Draft(RoomId("!" + "x" * 255), "x", ALICE, {}),
    ):
        with pytest.raises(TooLarge):
            pdu.build(draft, V12, PLACE, SIGNER)


@pytest.mark.parametrize("content", [{"a": 1.5}, {"a": 2**53}, {"a": "\ud800"}])
def test_only_canonical_content(content: JsonObject) -> None:
    with pytest.raises(BadJson):
        pdu.build(Draft(ROOM, "x", ALICE, content), V12, PLACE, SIGNER)


@pytest.mark.parametrize(
    "draft", [Draft(ROOM, "x\0", ALICE, {}), Draft(ROOM, "x", ALICE, {}, "\0")]
)
def test_no_names_that_a_database_cannot_hold(draft: Draft) -> None:
    with pytest.raises(BadJson):
        pdu.build(draft, V12, PLACE, SIGNER)
