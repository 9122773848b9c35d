"""What a signature on a key covers, and keys shown with the signatures that others have added.

Source: appendices, "Signing JSON"; client-server API, "Cross-signing".
"""

from collections.abc import Iterable

from tidings.protocol.canonical_json import encode_canonical
from tidings.protocol.events import JsonObject

NOT_SIGNED = ("signatures", "unsigned")


def signed_bytes(key: JsonObject) -> bytes:
    """What is signed of a key: all of it but the signatures and what a server may add."""
    return encode_canonical({name: key[name] for name in key if name not in NOT_SIGNED})


def signatures_by(key: JsonObject, signer: str) -> dict[str, str]:
    """The signatures of one user on a key, by the id of the signing key."""
    signatures = key.get("signatures")
    of_signer = signatures.get(signer) if isinstance(signatures, dict) else None
    if not isinstance(of_signer, dict):
        return {}
    return {name: value for name, value in of_signer.items() if isinstance(value, str)}


def with_signatures(key: JsonObject, added: Iterable[tuple[str, str, str]]) -> JsonObject:
    """A key with further signatures: signer, id of the signing key, signature."""
    held = key.get("signatures")
    signatures: dict[str, dict[str, object]] = {}
    if isinstance(held, dict):
        signatures = {name: dict(each) for name, each in held.items() if isinstance(each, dict)}
    for signer, signing_key_id, signature in added:
        signatures.setdefault(signer, {})[signing_key_id] = signature
    return {**key, "signatures": signatures} if signatures else key
