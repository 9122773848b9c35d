import asyncio

from tests.api.chat import create_room, done, send, sync
from tests.api.encryption import messages_in, send_to
from tests.api.server import ApiServer, Person, problem


async def test_a_message_comes_until_it_is_acknowledged(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    since = (await sync(bob))["next_batch"]
    await send_to(alice, bob.user_id, bob.device_id, "hello")
    answers = [await sync(bob, since) for _ in range(2)]  # the first answer may have been lost
    for answer in answers:
        assert answer["to_device"]["events"] == [
            {"type": "m.test", "sender": alice.user_id, "content": {"body": "hello"}}
        ]
    assert messages_in(await sync(bob)) == ["hello"]
    after = answers[1]["next_batch"]
    for token in (after, since, None):
        assert messages_in(await sync(bob, token)) == []


async def test_what_came_after_the_token_is_kept(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await send_to(alice, bob.user_id, bob.device_id, 1)
    since = (await sync(bob))["next_batch"]
    await send_to(alice, bob.user_id, bob.device_id, 2)
    for _ in range(2):
        assert messages_in(await sync(bob, since)) == [2]


async def test_messages_outlive_the_server_and_come_in_order(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    since = (await sync(bob))["next_batch"]
    for number in range(5):
        await send_to(alice, bob.user_id, bob.device_id, number)
    async with server.server.db.read() as tx:  # as after a start: nothing is in memory
        await server.server.present.reset(tx, await tx.snapshot_position())
    assert messages_in(await sync(bob, since)) == [0, 1, 2, 3, 4]


async def test_a_long_queue_comes_in_parts(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await create_room(alice, bob)
    since = (await sync(bob))["next_batch"]
    for number in range(250):
        await send_to(alice, bob.user_id, bob.device_id, number)
    await send(alice, room_id, "once")
    found: list[int] = []
    seen = 0
    for size in (100, 100, 50, 0):
        lost, answer = await sync(bob, since), await sync(bob, since)
        assert messages_in(lost) == messages_in(answer)
        assert len(messages_in(answer)) == size
        found += messages_in(answer)
        seen += room_id in answer.get("rooms", {}).get("join", {})
        since = answer["next_batch"]
    assert found == list(range(250))
    assert seen == 1
    assert problem(await bob.get("/sync", since="s5~7")) == (400, "M_INVALID_PARAM")


async def test_a_token_in_the_middle_of_a_queue_is_good_elsewhere(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    for number in range(101):
        await send_to(alice, bob.user_id, bob.device_id, number)
    since = (await sync(bob))["next_batch"]
    assert "~" in since
    await done(bob.get("/keys/changes", **{"from": since, "to": since}))
    await send_to(alice, bob.user_id, bob.device_id, 101)
    assert messages_in(await sync(bob, since)) == [100, 101]


async def test_a_star_stands_for_every_device(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    phone = await server.log_in("bob")
    messages = {bob.user_id: {"*": {"body": "all"}, phone.device_id: {"body": "phone"}}}
    await done(alice.put("/sendToDevice/m.test/1", {"messages": messages}))
    assert messages_in(await sync(bob)) == ["all"]
    assert messages_in(await sync(phone)) == ["phone"]
    assert messages_in(await sync(alice)) == []


async def test_a_transaction_is_done_once_for_each_device(server: ApiServer) -> None:
    alice, phone = await server.user("alice"), await server.log_in("alice")
    bob = await server.user("bob")
    body = {"messages": {bob.user_id: {bob.device_id: {"body": "x"}}}}
    for sender, path in (
        (alice, "/sendToDevice/m.test/1"),
        (alice, "/sendToDevice/m.test/1"),
        (alice, "/sendToDevice/m.other/1"),
        (phone, "/sendToDevice/m.test/1"),
    ):
        await done(sender.put(path, body))
    assert len(messages_in(await sync(bob))) == 3


async def test_devices_nobody_knows_are_left_out(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    await send_to(alice, bob.user_id, "UNKNOWN", "x")
    await send_to(alice, "@nobody:localhost", "*", "x")
    await send_to(alice, "@x:elsewhere.org", "*", "x")
    late = await server.log_in("bob", device_id="UNKNOWN")
    assert messages_in(await sync(late)) == []


async def test_a_deleted_device_s_messages_are_gone(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    old = await server.log_in("bob", device_id="PHONE")
    await send_to(alice, bob.user_id, old.device_id, "x")
    await done(old.post("/logout"))
    again = await server.log_in("bob", device_id="PHONE")
    assert messages_in(await sync(again)) == []


async def test_a_message_wakes_a_waiting_sync(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    since = (await sync(bob))["next_batch"]
    waiting = asyncio.create_task(sync(bob, since, timeout=20_000))
    await asyncio.sleep(0.05)
    await send_to(alice, bob.user_id, bob.device_id, "now")
    assert messages_in(await asyncio.wait_for(waiting, 5)) == ["now"]


async def test_messages_of_a_wrong_shape_are_refused(server: ApiServer) -> None:
    alice = await server.user("alice")
    wrong: tuple[object, ...] = (
        None,
        [],
        {alice.user_id: {"*": "text"}},
        {"a\0": {}},
        {alice.user_id: []},
    )
    for messages in wrong:
        refused = await alice.put("/sendToDevice/m.test/1", {"messages": messages})
        assert problem(refused) == (400, "M_BAD_JSON"), messages
    large = {"messages": {alice.user_id: {"*": {"body": "x" * 70_000}}}}
    assert problem(await alice.put("/sendToDevice/m.test/1", large)) == (413, "M_TOO_LARGE")
    long = await alice.put(f"/sendToDevice/m.test/{'x' * 300}", {"messages": {}})
    assert problem(long) == (400, "M_INVALID_PARAM")
    assert messages_in(await sync(alice)) == []


async def test_a_guest_may_send(server: ApiServer) -> None:
    alice, guest = await server.user("alice"), await server.guest()
    await send_to(guest, alice.user_id, "*", "hello")
    assert messages_in(await sync(alice)) == ["hello"]
    nobody: Person = server.nobody
    refused = await nobody.put("/sendToDevice/m.test/1", {"messages": {}})
    assert problem(refused) == (401, "M_MISSING_TOKEN")
