from base64 import b64encode
from typing import Any

import msgspec
from nacl.signing import SigningKey

from tests.api.chat import create_room, done, sync
from tests.api.encryption import device_lists_in, identity_of, query, upload
from tests.api.server import ApiServer, Person, problem

UPLOAD = "/keys/device_signing/upload"
SIGN = "/keys/signatures/upload"


def b64(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


class Secret:
    """A key pair that signs JSON."""

    def __init__(self) -> None:
        self._key = SigningKey.generate()
        self.public = b64(bytes(self._key.verify_key))

    def sign(self, value: dict[str, Any], signer: str, name: str | None = None) -> dict[str, Any]:
        bare = {key: value[key] for key in value if key not in ("signatures", "unsigned")}
        signature = self._key.sign(msgspec.json.encode(bare, order="sorted")).signature
        signatures = {signer: {f"ed25519:{name or self.public}": b64(signature)}}
        return {**value, "signatures": signatures}


class Identity:
    """Somebody's cross-signing keys, made anew."""

    def __init__(self, person: Person) -> None:
        self.user_id = person.user_id
        self.master, self.self_signing, self.user_signing = Secret(), Secret(), Secret()

    def key(self, secret: Secret, usage: str) -> dict[str, Any]:
        keys = {f"ed25519:{secret.public}": secret.public}
        return {"user_id": self.user_id, "usage": [usage], "keys": keys}

    @property
    def master_key(self) -> dict[str, Any]:
        return self.key(self.master, "master")

    @property
    def body(self) -> dict[str, Any]:
        sign, user_id = self.master.sign, self.user_id
        return {
            "master_key": self.master_key,
            "self_signing_key": sign(self.key(self.self_signing, "self_signing"), user_id),
            "user_signing_key": sign(self.key(self.user_signing, "user_signing"), user_id),
        }


async def new_identity(person: Person) -> Identity:
    identity = Identity(person)
    await done(person.post(UPLOAD, identity.body))
    return identity


async def test_the_first_keys_need_no_password_and_others_do(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    identity = await new_identity(alice)
    await done(alice.post(UPLOAD, identity.body))  # the answer may have been lost
    for viewer, sections in ((alice, 3), (bob, 2)):
        shown = await query(viewer, alice)
        found = [
            shown[name][alice.user_id]
            for name in ("master_keys", "self_signing_keys", "user_signing_keys")
            if alice.user_id in shown[name]
        ]
        assert found == list(identity.body.values())[:sections]
    second = Identity(alice)
    asked = await alice.post(UPLOAD, second.body)
    assert asked.json()["flows"] == [{"stages": ["m.login.password"]}]
    assert (await query(bob, alice))["master_keys"][alice.user_id] == identity.master_key
    assert (await alice.prove("POST", UPLOAD, second.body)).status_code == 200
    assert (await query(bob, alice))["master_keys"][alice.user_id] == second.master_key


async def test_a_proof_is_good_for_the_keys_it_was_given_for(server: ApiServer) -> None:
    alice = await server.user("alice")
    await new_identity(alice)
    asked = await alice.post(UPLOAD, Identity(alice).body)
    other = {**Identity(alice).body, "auth": alice.password_auth(asked)}
    assert problem(await alice.post(UPLOAD, other)) == (403, "M_FORBIDDEN")


async def test_a_new_master_key_ends_what_the_old_one_vouched_for(server: ApiServer) -> None:
    alice = await server.user("alice")
    await new_identity(alice)
    only_master = {"master_key": Identity(alice).master_key}
    assert (await alice.prove("POST", UPLOAD, only_master)).status_code == 200
    shown = await query(alice, alice)
    assert shown["self_signing_keys"] == shown["user_signing_keys"] == {}


async def test_keys_that_are_not_in_order_are_refused(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await upload(alice, device_keys=identity_of(alice))
    good, other = Identity(alice), Identity(alice)
    body = good.body
    cases: list[tuple[dict[str, Any], tuple[int, str]]] = [
        ({"self_signing_key": body["self_signing_key"]}, (400, "M_MISSING_PARAM")),
        ({**body, "self_signing_key": other.body["self_signing_key"]},
         (400, "M_INVALID_SIGNATURE")),
        ({**body, "user_signing_key": good.key(Secret(), "user_signing")},
         (400, "M_INVALID_SIGNATURE")),
        ({"master_key": Identity(bob).master_key}, (400, "M_INVALID_PARAM")),
        ({"master_key": good.key(good.master, "self_signing")}, (400, "M_INVALID_PARAM")),
        ({"master_key": {**body["master_key"], "keys": {}}}, (400, "M_INVALID_PARAM")),
        ({"master_key": {**body["master_key"], "keys": {"ed25519:x": "y"}}},
         (400, "M_INVALID_PARAM")),
        ({"master_key": {**body["master_key"], "keys": {
            f"ed25519:{alice.device_id}": alice.device_id}}}, (403, "M_FORBIDDEN")),
        ({"master_key": 5}, (400, "M_BAD_JSON")),
    ]  # fmt: skip
    for wrong, refusal in cases:
        assert problem(await alice.post(UPLOAD, wrong)) == refusal, wrong
    assert (await query(alice, alice))["master_keys"] == {}


async def test_a_device_is_signed_and_everybody_sees_it(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await create_room(alice, bob)
    device = identity_of(alice)
    await upload(alice, device_keys=device)
    identity = await new_identity(alice)
    since = (await sync(bob))["next_batch"]
    signed = identity.self_signing.sign(device, alice.user_id)
    answer = await done(alice.post(SIGN, {alice.user_id: {alice.device_id: signed}}))
    assert answer == {"failures": {}}
    assert device_lists_in(await sync(bob, since)) == ([alice.user_id], [])
    shown = (await query(bob, alice))["device_keys"][alice.user_id][alice.device_id]
    assert shown["signatures"][alice.user_id] == {
        **device["signatures"][alice.user_id],
        **signed["signatures"][alice.user_id],
    }


async def test_a_device_signs_the_master_key(server: ApiServer) -> None:
    alice = await server.user("alice")
    secret = Secret()
    device = identity_of(alice)
    device["keys"][f"ed25519:{alice.device_id}"] = secret.public
    await upload(alice, device_keys=device)
    identity = await new_identity(alice)
    signed = secret.sign(identity.master_key, alice.user_id, alice.device_id)
    await done(alice.post(SIGN, {alice.user_id: {identity.master.public: signed}}))
    shown = (await query(alice, alice))["master_keys"][alice.user_id]
    assert shown == signed


async def test_whom_one_has_verified_is_one_s_own_business(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    await create_room(alice, bob, carol)
    mine, theirs = await new_identity(alice), await new_identity(bob)
    tokens = {person: (await sync(person))["next_batch"] for person in (alice, carol)}
    signed = mine.user_signing.sign(theirs.master_key, alice.user_id)
    answer = await done(alice.post(SIGN, {bob.user_id: {theirs.master.public: signed}}))
    assert answer == {"failures": {}}
    assert (await query(alice, bob))["master_keys"][bob.user_id] == signed
    for person in (bob, carol):
        assert (await query(person, bob))["master_keys"][bob.user_id] == theirs.master_key
    assert device_lists_in(await sync(alice, tokens[alice])) == ([bob.user_id], [])
    assert device_lists_in(await sync(carol, tokens[carol])) == ([], [])


async def test_signatures_that_are_not_good_are_told_one_by_one(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    device = identity_of(alice)
    await upload(alice, device_keys=device)
    await upload(bob, device_keys=identity_of(bob))
    mine, theirs = await new_identity(alice), await new_identity(bob)
    forged = Secret().sign(device, alice.user_id, mine.self_signing.public)
    changed = mine.self_signing.sign({**device, "algorithms": []}, alice.user_id)
    by_wrong_key = mine.self_signing.sign(theirs.master_key, alice.user_id)
    their_device = mine.user_signing.sign(identity_of(bob), alice.user_id)
    for user_id, key_id, key, errcode in (
        (alice.user_id, alice.device_id, forged, "M_INVALID_SIGNATURE"),
        (alice.user_id, alice.device_id, changed, "M_INVALID_PARAM"),
        (alice.user_id, "unknown", changed, "M_NOT_FOUND"),
        (bob.user_id, theirs.master.public, by_wrong_key, "M_INVALID_SIGNATURE"),
        (bob.user_id, bob.device_id, their_device, "M_NOT_FOUND"),
    ):
        answer = await done(alice.post(SIGN, {user_id: {key_id: key}}))
        assert answer["failures"][user_id][key_id]["errcode"] == errcode
    shown = (await query(alice, alice, bob))["device_keys"]
    assert shown[alice.user_id][alice.device_id]["signatures"] == device["signatures"]
    assert problem(await alice.post(SIGN, {"@a:h": 5})) == (400, "M_BAD_JSON")
