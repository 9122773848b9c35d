from tidings.rules.key_signatures import signatures_by, signed_bytes, with_signatures


def test_a_signature_covers_neither_signatures_nor_what_a_server_adds() -> None:
    key = {"b": 1, "a": "x", "unsigned": {"n": 1}, "signatures": {"@a:h": {"ed25519:D": "s"}}}
    assert signed_bytes(key) == b'{"a":"x","b":1}'


def test_signatures_that_are_none_are_passed_over() -> None:
    assert signatures_by({"signatures": {"@a:h": {"ed25519:D": "s", "x": 5}}}, "@a:h") == {
        "ed25519:D": "s"
    }
    for odd in (None, "x", {"@a:h": "x"}, {"@b:h": {"ed25519:D": "s"}}):
        assert signatures_by({"signatures": odd}, "@a:h") == {}


def test_signatures_are_added_to_those_a_key_has() -> None:
    key: dict[str, object] = {"keys": {}, "signatures": {"@a:h": {"ed25519:D": "s"}}}
    added = [("@a:h", "ed25519:SELF", "t"), ("@b:h", "ed25519:USER", "u")]
    assert with_signatures(key, added)["signatures"] == {
        "@a:h": {"ed25519:D": "s", "ed25519:SELF": "t"},
        "@b:h": {"ed25519:USER": "u"},
    }
    assert key["signatures"] == {"@a:h": {"ed25519:D": "s"}}
    assert with_signatures({"keys": {}}, []) == {"keys": {}}
