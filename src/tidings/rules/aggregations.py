"""What is bundled with an event of what relates to it.

Source: client-server API, "Aggregations of child events", and the modules on
event replacements, references and threads.
"""

from collections.abc import Sequence

import msgspec

from tidings.protocol.ids import EventId


class ThreadSummary(msgspec.Struct, frozen=True):
    """A thread, told at its root; the latest event is encoded."""

    latest_event: bytes
    count: int
    current_user_participated: bool


def encode_relations(
    edit: bytes | None, thread: ThreadSummary | None, references: Sequence[EventId]
) -> bytes:
    """The value of `m.relations`; empty where nothing is told."""
    members = []
    if edit is not None:
        members.append(b'"m.replace":' + edit)
    if thread is not None:
        members.append(
            b'"m.thread":{"latest_event":%b,"count":%d,"current_user_participated":%b}'
            % (
                thread.latest_event,
                thread.count,
                b"true" if thread.current_user_participated else b"false",
            )
        )
    if references:
        chunk = [{"event_id": event_id} for event_id in references]
        members.append(b'"m.reference":{"chunk":%b}' % msgspec.json.encode(chunk))
    return b"{" + b",".join(members) + b"}" if members else b""
