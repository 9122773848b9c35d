"""Canonical JSON: the one encoding that is hashed and signed.

Source: Matrix specification, appendices, "Canonical JSON". Sorting keys as
UTF-8 bytes, as msgspec does, is sorting them by code point.
"""

from collections.abc import Iterable

import msgspec

from tidings.protocol.errors import BadJson

INTEGER_MAX = 2**53 - 1
NESTING_MAX = 100
"""Ours: the spec sets no bound, a decoder's stack does."""

_encoder = msgspec.json.Encoder(order="sorted")


def encode_canonical(value: object) -> bytes:
    """The canonical bytes of a value that passed `check_canonical`."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        raise BadJson("Text must not contain lone surrogates") from None


def check_canonical(value: object) -> None:
    """Raise BadJson unless canonical JSON can hold the value: no floats, no huge integers."""
    _check(value, NESTING_MAX)


def _check(value: object, levels: int) -> None:
    items: Iterable[object]
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, list):
        items = value
    else:
        _check_scalar(value)
        return
    if not levels:
        raise BadJson(f"JSON may be nested at most {NESTING_MAX} deep")
    for item in items:
        if type(item) is not str:  # most are: spare them the call
            _check(item, levels - 1)


def _check_scalar(value: object) -> None:
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, int):
        raise BadJson("Numbers must be integers: floats are not allowed here")
    if not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise BadJson("Integers must be between -(2**53)+1 and (2**53)-1")
