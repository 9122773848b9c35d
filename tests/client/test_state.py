import copy

from hypothesis import given
from hypothesis import strategies as st

from tests.client.world import ROOMS, SYNC, Action, World, actions
from tidings.client.state import TIMELINE_EVENTS_MAX, ClientState, apply
from tidings.client.state_comparison import normalise
from tidings.protocol.events import JsonObject

ROOM = "!r:example.org"


def message(number: int) -> JsonObject:
    return {
        "type": "m.room.message",
        "event_id": f"${number}",
        "sender": "@bob:example.org",
        "origin_server_ts": number,
        "content": {"body": str(number)},
    }


def member(user_id: str, membership: str) -> JsonObject:
    return {
        "type": "m.room.member",
        "state_key": user_id,
        "event_id": f"$member-{user_id}-{membership}",
        "sender": user_id,
        "content": {"membership": membership},
    }


def joined(**parts: object) -> JsonObject:
    return {"next_batch": "s1", "rooms": {"join": {ROOM: parts}}}


def timeline(*events: JsonObject, limited: bool = False) -> JsonObject:
    return {"events": list(events), "limited": limited, "prev_batch": f"p{len(events)}"}


def fold_all(*responses: JsonObject) -> ClientState:
    state = ClientState()
    for response in responses:
        state = apply(state, response)
    return state


def ids(state: ClientState) -> list[object]:
    return [event["event_id"] for event in state.rooms[ROOM].timeline]


@given(actions(), st.integers(1, 5))
def test_folding_increments_is_a_fresh_initial_sync(history: list[Action], limit: int) -> None:
    world, state = World(), ClientState()
    since: int | None = None
    for action in [*history, (SYNC, ROOMS[0], "", 0)]:
        world.do(action)
        if action[0] == SYNC:
            state = apply(state, world.sync(since, limit))
            since = world.position
    fresh = apply(ClientState(), world.sync(None, limit))
    assert normalise(state, limit) == normalise(fresh, limit)


@given(actions(), st.integers(1, 5))
def test_the_state_before_stays_as_it_was(history: list[Action], limit: int) -> None:
    world = World()
    for action in history[: len(history) // 2]:
        world.do(action)
    before = apply(ClientState(), world.sync(None, limit))
    kept, position = copy.deepcopy(before), world.position
    for action in history[len(history) // 2 :]:
        world.do(action)
    apply(before, world.sync(position, limit))
    assert before == kept


JSON = st.sampled_from(
    [None, True, 7, "x", [], ["a", 1], {}, {"$a": 1}, {"$a": {"m.read": {"@u:h": {"ts": "no"}}}}]
)
EVENT = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["m.receipt", "m.typing", "m.room.redaction", "m.room.create"])
        | JSON,
        "state_key": st.just("") | JSON,
        "event_id": st.just("$a") | JSON,
        "redacts": st.just("$a") | JSON,
        "sender": JSON,
        "content": st.fixed_dictionaries({}, optional={"user_ids": JSON, "redacts": JSON}) | JSON,
    },
)
EVENTS = st.fixed_dictionaries({"events": st.lists(EVENT, max_size=4)})


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("timeline", "state", "ephemeral", "account_data"), EVENTS),
    )
)
def test_events_that_make_no_sense_never_stop_the_fold(room: JsonObject) -> None:
    state = apply(ClientState(), joined(**room))
    assert state.rooms[ROOM].membership == "join"


def test_a_timeline_grows_at_its_end() -> None:
    state = fold_all(
        joined(timeline=timeline(message(1), message(2))), joined(timeline=timeline(message(3)))
    )
    assert ids(state) == ["$1", "$2", "$3"]
    assert state.rooms[ROOM].prev_batch == "p2"
    assert state.since == "s1"


def test_after_a_gap_only_what_follows_it_is_kept() -> None:
    state = fold_all(
        joined(timeline=timeline(message(1))), joined(timeline=timeline(message(9), limited=True))
    )
    assert ids(state) == ["$9"]
    assert state.rooms[ROOM].prev_batch == "p1"


def test_a_timeline_does_not_grow_without_end() -> None:
    state = fold_all(
        *(joined(timeline=timeline(message(n), message(n + 1))) for n in range(0, 3000, 2))
    )
    assert len(ids(state)) == TIMELINE_EVENTS_MAX
    assert ids(state)[-1] == "$2999"


def test_state_after_is_taken_in_place_of_the_timelines_state() -> None:
    news = joined(
        timeline=timeline(member("@bob:example.org", "join")),
        state_after={"events": [member("@bob:example.org", "leave")]},
    )
    member_event = fold_all(news).rooms[ROOM].state[("m.room.member", "@bob:example.org")]
    assert member_event["content"] == {"membership": "leave"}


def test_joining_forgets_what_was_seen_from_outside() -> None:
    stripped = {"events": [member("@bob:example.org", "join")]}
    state = fold_all(
        {"next_batch": "s0", "rooms": {"invite": {ROOM: {"invite_state": stripped}}}},
        joined(state={"events": [member("@ann:example.org", "join")]}),
    )
    assert list(state.rooms[ROOM].state) == [("m.room.member", "@ann:example.org")]


def test_a_receipt_moves_and_threads_have_their_own() -> None:
    def receipt(event_id: str, **thread: str) -> JsonObject:
        body = {event_id: {"m.read": {"@bob:example.org": {"ts": 5, **thread}}}}
        return {"events": [{"type": "m.receipt", "content": body}]}

    state = fold_all(
        joined(ephemeral=receipt("$1")),
        joined(ephemeral=receipt("$2")),
        joined(ephemeral=receipt("$3", thread_id="main")),
    )
    receipts = state.rooms[ROOM].receipts
    assert receipts[("m.read", "@bob:example.org", "")].event_id == "$2"
    assert receipts[("m.read", "@bob:example.org", "main")].event_id == "$3"


def test_counts_stay_until_told_otherwise_and_read_threads_vanish() -> None:
    counts = {"notification_count": 3, "highlight_count": 1}
    state = fold_all(
        joined(unread_notifications=counts, unread_thread_notifications={"$t": counts}),
        joined(timeline=timeline(message(1))),
    )
    assert state.rooms[ROOM].unread.notification_count == 3
    assert "$t" in state.rooms[ROOM].unread_threads
    state = apply(state, joined(unread_notifications=counts))
    assert state.rooms[ROOM].unread_threads == {}
