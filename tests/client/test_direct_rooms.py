from tests.homeserver import Homeserver
from tidings.client import direct_rooms, rooms
from tidings.client.http import v3
from tidings.protocol.events import JsonObject


async def test_a_pair_alone_in_a_nameless_room_is_a_conversation_noted_or_not(
    server: Homeserver,
) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    room_id = await rooms.create(alice, rooms.CreateRoom(invite=[bob.user_id]))
    await rooms.join(bob, room_id)
    assert await direct_rooms.get(bob, alice.user_id) == room_id


async def test_a_conversation_is_noted_beside_those_there_are(server: Homeserver) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    path = v3("user", alice.user_id, "account_data", "m.direct")
    await alice.put(path, {"@cleo:example.org": ["!x:example.org"]}, JsonObject)
    room_id = await direct_rooms.get_or_enter(alice, bob.user_id)
    noted = await alice.get(path, JsonObject)
    assert noted == {"@cleo:example.org": ["!x:example.org"], bob.user_id: [room_id]}
