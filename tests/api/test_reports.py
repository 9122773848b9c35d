"""Reports reach the administrators."""

from urllib.parse import quote

from tests.api.chat import create_room, done, room_path, send
from tests.api.server import ApiServer, problem
from tidings.server.services.access import Access
from tidings.server.services.reports import Reports
from tidings.server.storage.reports import ReportRow, ReportStore

NOT_FOUND = (404, "M_NOT_FOUND")


async def reported(server: ApiServer) -> list[ReportRow]:
    inner = server.server
    access = Access(inner.rooms, inner.room_store, inner.events)
    rooms = (inner.room_store, access)
    reports = Reports(inner.db, ReportStore(), inner.account_store, rooms, server.clock)
    return await reports.newest(10)


async def test_an_event_is_reported_by_members_only(server: ApiServer) -> None:
    alice, bob, eve = [await server.user(name) for name in ("alice", "bob", "eve")]
    room_id = await create_room(alice, bob)
    event_id = await send(alice, room_id)
    where = f"{room_path(room_id)}/report/{quote(event_id)}"
    assert problem(await eve.post(where, {"reason": "x"})) == NOT_FOUND
    assert problem(await bob.post(f"{room_path(room_id)}/report/%24no")) == NOT_FOUND
    assert problem(await bob.post(where, {"reason": 5})) == (400, "M_BAD_JSON")
    assert await done(bob.post(where)) == {}
    assert await done(bob.post(where, {"reason": "rude", "score": -100})) == {}
    newest, *_ = await reported(server)
    assert (newest.reporter, newest.room_id, newest.event_id, newest.reason) == (
        bob.user_id, room_id, event_id, "rude",
    )  # fmt: skip
    assert newest.created_ts == server.clock.ms
    assert len(await reported(server)) == 2


async def test_a_room_is_reported_without_a_word_on_whether_it_is_there(server: ApiServer) -> None:
    alice, eve = await server.user("alice"), await server.user("eve")
    room_id = await create_room(alice)
    assert await done(eve.post(f"{room_path('!nowhere')}/report", {"reason": ""})) == {}
    assert await reported(server) == []
    assert await done(eve.post(f"{room_path(room_id)}/report", {"reason": "bad"})) == {}
    assert [report.room_id for report in await reported(server)] == [room_id]
    assert problem(await eve.post(f"{room_path(room_id)}/report")) == (400, "M_BAD_JSON")


async def test_a_user_is_reported(server: ApiServer) -> None:
    alice, eve = await server.user("alice"), await server.user("eve")
    assert await done(alice.post(f"/users/{quote(eve.user_id)}/report", {"reason": "bad"})) == {}
    assert [report.user_id for report in await reported(server)] == [eve.user_id]
    missing = await alice.post("/users/%40nobody%3Alocalhost/report", {"reason": ""})
    assert problem(missing) == NOT_FOUND
    assert problem(await alice.post("/users/nobody/report", {"reason": ""})) == (
        400, "M_INVALID_PARAM",
    )  # fmt: skip
