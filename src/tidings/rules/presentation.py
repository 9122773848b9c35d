"""Events as a client is shown them.

An event is encoded once, when it is appended; here the parts that depend on
who looks and when are spliced into its bytes. Nothing is decoded or encoded
again: this runs for every event of every answer.
Source: client-server API, "Room event format", `unsigned`.
"""

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import DeviceId, UserId


class View(msgspec.Struct, frozen=True):
    """Who looks at events, and when: the same for a whole answer."""

    user_id: UserId
    device_id: DeviceId
    now_ms: int
    room_id: bool = True
    """Whether events name their room; /sync leaves that out."""


class Bundle(msgspec.Struct, frozen=True):
    """What other events say of an event, encoded."""

    relations: bytes = b""
    """The value of `m.relations`."""
    redacted_because: bytes = b""
    """The redaction, in client format."""


NO_BUNDLE = Bundle()


def client_event(
    event: Event, view: View, bundle: Bundle = NO_BUNDLE, membership: str = ""
) -> bytes:
    """The JSON of an event; `membership` is what the viewer was at its time, where that is known.

    A transaction id is shown to the device that chose it and to no other.
    """
    room = b""
    if view.room_id:
        room = b',"room_id":"%b"' % event.room_id.encode()
    unsigned = b'"age":%d' % max(view.now_ms - event.origin_server_ts, 0)
    if event.replaced_json is not None:
        unsigned += b"," + event.replaced_members
    if event.device_id == view.device_id and event.txn_id and event.sender == view.user_id:
        unsigned += b',"transaction_id":' + msgspec.json.encode(event.txn_id)
    if bundle is not NO_BUNDLE:
        unsigned += _bundled(bundle)
    if membership:
        unsigned += b',"membership":' + msgspec.json.encode(membership)
    return b'%b%b,"unsigned":{%b}}' % (event.json[:-1], room, unsigned)


def _bundled(bundle: Bundle) -> bytes:
    members = b""
    if bundle.redacted_because:
        members += b',"redacted_because":' + bundle.redacted_because
    if bundle.relations:
        members += b',"m.relations":' + bundle.relations
    return members


def json_array(items: list[bytes]) -> bytes:
    """A JSON array of encoded values."""
    return b"[" + b",".join(items) + b"]"
