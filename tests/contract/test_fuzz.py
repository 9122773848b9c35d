"""Schemathesis asks what the definitions allow, and what they do not: nothing may break.

Every answer is held against its definition on the way (see validation.py): no status 500, no error
of another shape. Names of things that are there stand in for half of those that were made up.
"""

import asyncio
import copy
from collections.abc import Coroutine, Generator
from threading import Thread
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.api.chat import create_room, send
from tests.api.server import ApiServer, FakeClock, Person
from tests.contract.account import MISSING
from tests.contract.definitions import DOCUMENT, OPERATIONS, Json, Operation

T = TypeVar("T")
EXAMPLES = 6
"""Of each kind, for each operation: the whole stays under two minutes."""
PATIENCE = {"timeout", "timeout_ms"}
"""Query parameters by which a client lets itself be kept waiting."""
FUZZED = [each for each in OPERATIONS if each.name not in MISSING and not each.path.endswith(" ")]


def _document() -> Json:
    """The definitions as Schemathesis reads them: every response has a description."""
    document = copy.deepcopy(dict(DOCUMENT))
    document["paths"] = {p: each for p, each in document["paths"].items() if not p.endswith(" ")}
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                response.setdefault("description", "")
    return document


SCHEMA = schemathesis.openapi.from_dict(_document())


class World(NamedTuple):
    """A server that runs beside the test, and what there is on it."""

    loop: asyncio.AbstractEventLoop
    server: ApiServer
    names: dict[str, str]

    def run(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


@pytest.fixture
def world(db_url: str) -> Generator[World, None, None]:
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(ApiServer.start(db_url, FakeClock()), loop).result(30)
    world = World(loop, server, {})
    world.names.update(world.run(furnish(server)))
    yield world
    world.run(server.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def furnish(server: ApiServer) -> dict[str, str]:
    alice = await server.user("alice")
    room_id = await create_room(alice, room_alias_name="room")
    return {
        "userId": alice.user_id,
        "deviceId": alice.device_id,
        "roomId": room_id,
        "roomIdOrAlias": room_id,
        "roomAlias": "#room:localhost",
        "eventId": await send(alice, room_id),
        "eventType": "m.room.message",
        "keyName": "displayname",
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
def test_nothing_breaks_whatever_is_asked(world: World) -> None:
    problems = [found for operation in FUZZED if (found := fuzz(world, operation))]
    assert not problems, "\n\n".join(problems)


def fuzz(world: World, operation: Operation) -> str:
    """What went wrong with an operation; empty where nothing did."""
    person = world.run(world.server.log_in("alice"))

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        made = SCHEMA[operation.path][operation.method]
        try:
            case = data.draw(made.as_strategy(generation_mode=mode))
        except Exception as error:
            if "generat" not in str(error).lower() and "negat" not in str(error).lower():
                raise
            return  # there is nothing wrong to be asked of it
        is_named = data.draw(st.booleans())
        world.run(request(world, person, (operation, case, is_named)))

    try:
        ask()
    except Exception as error:  # noqa: BLE001 - all of them are told together
        return f"{operation.name}: {type(error).__name__}: {error}"
    return ""


async def request(world: World, person: Person, asked: tuple[Operation, Json, bool]) -> None:
    """Make the request that was thought of; the hooks of the client judge the answer."""
    operation, case, is_named = asked
    path = operation.path
    for name, value in (case.path_parameters or {}).items():
        real = world.names.get(name) if is_named else None
        path = path.replace(f"{{{name}}}", quote(str(real or value), safe=""))
    arguments = case.as_transport_kwargs(base_url="http://test")
    query = {k: v for k, v in (arguments.get("params") or {}).items() if k not in PATIENCE}
    arguments |= {"url": f"http://test{path}", "params": query}
    known = ("method", "url", "params", "json", "data", "headers")
    prepared = requests.Request(**{k: arguments[k] for k in known if k in arguments}).prepare()
    body = prepared.body or b""
    headers = {"authorization": f"Bearer {person.token}"}
    if isinstance(body, bytes | str):
        url = httpx.URL(str(prepared.url))
        await person.http.request(operation.method, url, content=body, headers=headers)
