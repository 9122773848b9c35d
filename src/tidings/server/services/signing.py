"""The server's Ed25519 key. PyNaCl's binding signs in two thirds of the time cryptography takes."""

from nacl.bindings import crypto_sign, crypto_sign_BYTES
from nacl.signing import SigningKey


class ServerSigner:
    """Signs events in the server's name."""

    def __init__(self, server_name: str, key_id: str, private_key: bytes) -> None:
        self.server_name = server_name
        self.key_id = key_id
        key = SigningKey(private_key)
        self.verify_key = bytes(key.verify_key)
        self._secret = private_key + self.verify_key

    def sign(self, data: bytes, /) -> bytes:
        """The raw signature of the data."""
        return crypto_sign(data, self._secret)[:crypto_sign_BYTES]


def new_private_key() -> bytes:
    """The seed of a new key."""
    return bytes(SigningKey.generate())
