import asyncio
from urllib.parse import quote

import pytest

from tests.api.chat import create_room, done, room_path, send, sync
from tests.api.server import ApiServer, problem
from tidings.server.storage.sqlite import SqliteDriver

FORBIDDEN = (403, "M_FORBIDDEN")


async def test_a_repeated_transaction_is_one_event(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    path = f"{room_path(room_id)}/send/m.room.message/txn%2F1"
    answers = [await done(alice.put(path, {"body": str(n)})) for n in range(2)]
    assert answers[0] == answers[1]
    together = await asyncio.gather(
        *(done(alice.put(f"{path}-again", {"body": "x"})) for _ in range(5))
    )
    assert len({answer["event_id"] for answer in together}) == 1


async def test_a_transaction_belongs_to_its_device_and_room(server: ApiServer) -> None:
    alice = await server.user("alice")
    laptop = await server.log_in("alice")
    rooms = [await create_room(alice) for _ in range(2)]
    sent = [
        (await done(device.put(f"{room_path(room_id)}/send/m.x/1")))["event_id"]
        for device in (alice, laptop)
        for room_id in rooms
    ]
    assert len(set(sent)) == 4


async def test_only_the_sending_device_sees_the_transaction(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    laptop = await server.log_in("alice")
    room_id = await create_room(alice, bob)
    await done(alice.put(f"{room_path(room_id)}/send/m.x/mine", {}))
    for person, shown in ((alice, "mine"), (laptop, None), (bob, None)):
        page = await done(person.get(f"{room_path(room_id)}/messages", dir="b", limit=1))
        assert page["chunk"][0]["unsigned"].get("transaction_id") == shown
        timeline = (await sync(person))["rooms"]["join"][room_id]["timeline"]["events"]
        assert timeline[-1]["unsigned"].get("transaction_id") == shown


async def test_types_and_transactions_may_hold_any_character(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    type_ = "org/example#ü %25"
    path = f"{room_path(room_id)}/send/{quote(type_, safe='')}/{quote('a/b?c', safe='')}"
    await done(alice.put(path, {}))
    page = await done(alice.get(f"{room_path(room_id)}/messages", dir="b", limit=1))
    assert page["chunk"][0]["type"] == type_


async def test_only_members_send_and_others_learn_nothing(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice)
    paths = [f"{room_path(each)}/send/m.x/1" for each in (room_id, "!unknown:localhost")]
    answers = [await bob.put(path, {}) for path in paths]
    assert problem(answers[0]) == FORBIDDEN
    assert answers[0].json() == answers[1].json()


async def test_the_power_to_send(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    levels = {"events": {"m.secret": 50}, "events_default": 0}
    room_id = await create_room(alice, bob, power_level_content_override=levels)
    await send(bob, room_id)
    assert problem(await bob.put(f"{room_path(room_id)}/send/m.secret/own", {})) == FORBIDDEN


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"a": 1.5}, (400, "M_BAD_JSON")),
        ({"a": 2**53}, (400, "M_BAD_JSON")),
        ([], (400, "M_BAD_JSON")),
        ({"a": "x" * 66_000}, (413, "M_TOO_LARGE")),
    ],
)
async def test_what_no_event_can_hold(
    server: ApiServer, body: object, expected: tuple[int, str]
) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice)
    assert problem(await alice.put(f"{room_path(room_id)}/send/m.x/1", body)) == expected
    # The transaction id is still free: nothing was sent.
    await done(alice.put(f"{room_path(room_id)}/send/m.x/1", {}))


async def test_ids_have_their_longest_lengths(server: ApiServer) -> None:
    alice = await server.user("alice")
    room = room_path(await create_room(alice))
    assert problem(await alice.put(f"{room}/send/{'x' * 256}/1", {})) == (413, "M_TOO_LARGE")
    assert problem(await alice.put(f"{room}/send/m.x/{'x' * 256}", {})) == (400, "M_INVALID_PARAM")
    assert problem(await alice.put(f"{room}/send/m.room.member/1", {})) == FORBIDDEN
    assert problem(await alice.put(f"{room}/send/m.room.create/1", {})) == FORBIDDEN


@pytest.mark.parametrize("version", ["10", "11", "12"])
async def test_a_redacted_event_is_empty_wherever_it_is_shown(
    server: ApiServer, version: str
) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob, room_version=version)
    since = (await sync(bob))["next_batch"]
    event_id = await send(alice, room_id, "secret")
    path = f"{room_path(room_id)}/redact/{quote(event_id)}/1"
    redaction = (await done(alice.put(path, {"reason": "typo"})))["event_id"]
    assert (await done(alice.put(path, {"reason": "typo"})))["event_id"] == redaction
    room = room_path(room_id)
    event = await done(bob.get(f"{room}/event/{quote(event_id)}"))
    context = await done(bob.get(f"{room}/context/{quote(event_id)}"))
    page = await done(bob.get(f"{room}/messages", dir="b", limit=2))
    whole = (await sync(bob))["rooms"]["join"][room_id]["timeline"]["events"]
    news = (await sync(bob, since))["rooms"]["join"][room_id]["timeline"]["events"]
    for shown in (event, context["event"], page["chunk"][1], whole[-2], news[-2]):
        assert shown["event_id"] == event_id
        assert shown["content"] == {}
        because = shown["unsigned"]["redacted_because"]
        assert because["event_id"] == redaction
        assert because["redacts"] == because["content"]["redacts"] == event_id
    assert page["chunk"][0]["content"]["reason"] == "typo"


async def test_who_may_redact(server: ApiServer) -> None:
    alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
    room_id = await create_room(alice, bob, carol)
    event_id = await send(bob, room_id)
    path = f"{room_path(room_id)}/redact/{quote(event_id)}"
    assert problem(await carol.put(f"{path}/1", {})) == FORBIDDEN
    await done(bob.put(f"{path}/1", {}))
    await done(alice.put(f"{path}/1", {}))
    body = {"redacts": await send(carol, room_id)}
    await done(alice.put(f"{room_path(room_id)}/send/m.room.redaction/2", body))
    other = await create_room(alice)
    foreign = f"{room_path(other)}/redact/{quote(event_id)}/3"
    assert problem(await alice.put(foreign, {})) == (404, "M_NOT_FOUND")
    nothing = f"{room_path(room_id)}/send/m.room.redaction/4"
    assert problem(await alice.put(nothing, {})) == (400, "M_INVALID_PARAM")


async def test_a_redacted_name_is_gone_from_the_state(server: ApiServer) -> None:
    alice = await server.user("alice")
    room_id = await create_room(alice, name="secret")
    room = room_path(room_id)
    named = await done(alice.get(f"{room}/state/m.room.name", format="event"))
    later = await done(alice.put(f"{room}/state/m.room.name", {"name": "open"}))
    await done(alice.put(f"{room}/redact/{quote(named['event_id'])}/1", {}))
    shown = await done(alice.get(f"{room}/state/m.room.name", format="event"))
    assert shown["event_id"] == later["event_id"]
    assert shown["unsigned"]["prev_content"] == {}
    await done(alice.put(f"{room}/redact/{quote(later['event_id'])}/2", {}))
    assert await done(alice.get(f"{room}/state/m.room.name")) == {}


async def test_a_full_disk_refuses_messages_until_there_is_room(server: ApiServer) -> None:
    driver = server.server.db._driver
    if not isinstance(driver, SqliteDriver):
        pytest.skip("PostgreSQL's disk cannot be filled from here")
    alice = await server.user("alice")
    room_id = await create_room(alice)
    writer = driver._writer.raw
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    path = f"{room_path(room_id)}/send/m.x"
    answers = [await alice.put(f"{path}/{n}", {"body": "x" * 3000}) for n in range(8)]
    kept = [answer.json()["event_id"] for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) > 3
    assert all(problem(answer) == (503, "M_UNKNOWN") for answer in refused)
    writer.execute("PRAGMA max_page_count = 100000")
    again = [await done(alice.put(f"{path}/{n}", {"body": "x" * 3000})) for n in range(8)]
    page = await done(alice.get(f"{room_path(room_id)}/messages", dir="f", limit=100))
    shown = [event["event_id"] for event in page["chunk"] if event["type"] == "m.x"]
    assert sorted(shown) == sorted(answer["event_id"] for answer in again)
    assert shown[: len(kept)] == kept


async def test_a_spoilt_group_leaves_the_other_senders_whole(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    powerless = {"users": {alice.user_id: 0}, "events": {"m.room.name": 100}}
    impossible = {"name": "x", "power_level_content_override": powerless}
    answers = await asyncio.gather(
        *(
            alice.post("/createRoom", impossible)
            if n % 5 == 0
            else (alice, bob)[n % 2].put(f"{room_path(room_id)}/send/m.x/together-{n}", {})
            for n in range(40)
        )
    )
    assert [answer.status_code for answer in answers] == [
        400 if n % 5 == 0 else 200 for n in range(40)
    ]
    page = await done(alice.get(f"{room_path(room_id)}/messages", dir="b", limit=100))
    shown = [event["event_id"] for event in page["chunk"] if event["type"] == "m.x"]
    sent = [answer.json().get("event_id") for answer in answers if answer.status_code == 200]
    assert sorted(shown) == sorted(sent)
    async with server.server.db.read() as tx:
        sql = "SELECT position, depth FROM events WHERE room_id = ? ORDER BY position"
        rows = await tx.fetch(tuple[int, int], sql, room_id)
    assert [depth for _, depth in rows] == list(range(1, len(rows) + 1))
    assert [position for position, _ in rows] == list(range(rows[0][0], rows[0][0] + len(rows)))
