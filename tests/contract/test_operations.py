"""Every operation of the client-server API is accounted for."""

import pytest

from tests.api.server import ApiServer, problem
from tests.contract.account import MISSING, REFUSED
from tests.contract.definitions import OPERATIONS, Operation
from tidings.protocol.errors import Unrecognized
from tidings.server.http.routing import Router

NAMES = {operation.name for operation in OPERATIONS}


def is_routed(router: Router, operation: Operation) -> bool:
    try:
        router.find(operation.method, operation.sample_path)
    except Unrecognized:
        return False
    return True


def test_there_are_166() -> None:
    assert len(OPERATIONS) == len(NAMES) == 166


def test_the_lists_name_operations_and_none_twice() -> None:
    assert set(REFUSED) | MISSING <= NAMES
    assert not set(REFUSED) & MISSING


async def test_every_operation_is_routed_or_known_to_be_missing(server: ApiServer) -> None:
    router = server.server.router
    absent = {each.name for each in OPERATIONS if not is_routed(router, each)}
    assert absent - MISSING == set(), "no longer there: missing.txt may only shrink"
    assert MISSING - absent == set(), "there now: take these out of missing.txt"


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_answers_with_its_code(server: ApiServer, name: str) -> None:
    refusal = REFUSED[name]
    operation = next(each for each in OPERATIONS if each.name == name)
    alice = await server.user("alice")
    body = refused_body(operation)
    answer = await alice.request(operation.method, operation.sample_path, body)
    assert problem(answer) == (refusal.status, refusal.errcode)


def refused_body(operation: Operation) -> dict[str, str] | None:
    if operation.path.endswith("/invite"):
        return {"id_server": "id.test", "id_access_token": "t", "medium": "email", "address": "a@b"}
    return None if operation.method == "GET" else {}
