"""The check of answers finds what it is there for."""

import json

import httpx
import pytest

from tests.contract.definitions import SCHEMAS
from tests.contract.validation import Contract, _type_validator

TOPIC = {"type": "m.room.topic", "state_key": "", "sender": "@a:b", "origin_server_ts": 1}


def answer(method: str, path: str, status: int, body: object) -> httpx.Response:
    request = httpx.Request(method, f"http://test/_matrix/client/v3{path}")
    return httpx.Response(status, json=body, request=request)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/account/whoami", 200, {}),
        ("/account/whoami", 200, {"user_id": "alice"}),
        ("/account/whoami", 201, {"user_id": "@alice:test"}),
        ("/account/whoami", 403, {"error": "no code"}),
        ("/account/whoami", 500, {"errcode": "M_UNKNOWN", "error": "ours"}),
        ("/nowhere", 404, {"errcode": "M_UNRECOGNIZED"}),
        ("/sync", 200, {"next_batch": 5}),
        ("/rooms/!a:b/state", 200, [{**TOPIC, "event_id": "$a", "content": {}}]),
        ("/rooms/!a:b/members", 200, {"chunk": [{"type": "m.room.member", "content": {}}]}),
    ],
)
async def test_what_breaks_the_definitions_is_found(path: str, status: int, body: object) -> None:
    with pytest.raises(AssertionError):
        await Contract().check_response(answer("GET", path, status, body))


async def test_content_that_a_client_chose_is_its_own() -> None:
    contract, whole = Contract(), {**TOPIC, "event_id": "$a", "room_id": "!a:b"}
    told = answer("GET", "/rooms/!a:b/state", 200, [{**whole, "content": {"topic": 5}}])
    with pytest.raises(AssertionError):
        await contract.check_response(told)
    sent = httpx.Request("PUT", "http://test/x", content=json.dumps({"topic": 5}))
    await contract.note_request(sent)
    await contract.check_response(told)


def test_every_schema_of_an_event_can_be_compiled() -> None:
    names = [name.rpartition("/")[2] for name in SCHEMAS if "/schema/m." in name]
    types = [name.removesuffix(".yaml") for name in names]
    assert len([type_ for type_ in types if _type_validator(type_)]) > 70


async def test_a_word_of_a_clients_own_may_be_new() -> None:
    contract = Contract()
    body = {"algorithm": "org.x", "auth_data": {}, "count": 0, "etag": "0", "version": "1"}
    told = answer("GET", "/room_keys/version", 200, body)
    with pytest.raises(AssertionError):
        await contract.check_response(told)
    sent = httpx.Request("POST", "http://test/x", content=json.dumps({"algorithm": "org.x"}))
    await contract.note_request(sent)
    await contract.check_response(told)
