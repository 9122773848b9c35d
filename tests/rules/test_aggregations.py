import msgspec

from tidings.protocol.ids import EventId
from tidings.rules.aggregations import ThreadSummary, encode_relations


def test_nothing_is_bundled_where_nothing_relates() -> None:
    assert encode_relations(None, None, []) == b""


def test_each_kind_has_its_own_shape() -> None:
    thread = ThreadSummary(b'{"latest":1}', 2, current_user_participated=True)
    encoded = encode_relations(b'{"edit":1}', thread, [EventId("$a"), EventId("$b")])
    assert msgspec.json.decode(encoded) == {
        "m.replace": {"edit": 1},
        "m.thread": {
            "latest_event": {"latest": 1},
            "count": 2,
            "current_user_participated": True,
        },
        "m.reference": {"chunk": [{"event_id": "$a"}, {"event_id": "$b"}]},
    }
