"""Holds every answer that a test sees against the definitions: its schema, and the events in it.

What a client chose to send is its own affair, as the specification leaves it to clients: the
server passes such content on unread. So an event's content is not held against its schema where
the same content came in with a request.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache

import httpx
from jsonschema_rs import Draft202012Validator, ValidationError

from tests.contract.definitions import SCHEMAS, Json, Operation, find_operations

_ERROR = {
    "type": "object",
    "required": ["errcode", "error"],
    "properties": {
        "errcode": {"type": "string", "pattern": "^[A-Z_.]+$"},
        "error": {"type": "string"},
    },
}
_UIA_STATUS = 401


class Contract:
    """The definitions, and what the clients of one server have sent."""

    def __init__(self) -> None:
        self._sent: set[str] = set()
        self._words: set[str] = set()

    async def note_request(self, request: httpx.Request) -> None:
        """Remember what a client sent."""
        if isinstance(request.stream, httpx.ByteStream):
            for value in _objects(_json_of(request.content)):
                self._sent.add(_key(value))
                self._words.update(word for word in value.values() if isinstance(word, str))

    async def check_response(self, response: httpx.Response) -> None:
        """Raise AssertionError for an answer that breaks its definition."""
        await response.aread()
        request = response.request
        raw_path = request.url.raw_path.partition(b"?")[0].decode()
        found = find_operations(request.method, raw_path.replace("/client/r0/", "/client/v3/"))
        problems = list(self.problems(found, response))
        assert not problems, "\n".join([f"{request.method} {raw_path}:", *problems])

    def problems(self, found: tuple[Operation, ...], response: httpx.Response) -> Iterator[str]:
        """What is wrong with an answer."""
        status, body = response.status_code, _json_of(response.content)
        if status == _UIA_STATUS and "flows" not in (body or {}):
            found = ()  # a token was refused, which is the same for every operation
        if status == 500:
            yield f"status {status}: {response.text}"
        if not found:
            if status >= 400 and "flows" not in (body or {}):
                yield from _errors(_error_validator(), body)
            return
        validators = [_validator(operation, status) for operation in found]
        failures = [self._failures(each, body) for each in validators if each is not None]
        if failures and all(failures):
            yield from failures[0]
        elif not failures and status < 400 and "json" in response.headers.get("content-type", ""):
            yield f"status {status} is not defined"
        if status >= 400 and "flows" not in (body or {}):
            yield from _errors(_error_validator(), body)
        if status < 400:
            yield from self._event_problems(body)

    def _failures(self, validator: Draft202012Validator, body: Json) -> list[str]:
        """What is wrong, but for a client's own word where the definition knows only some.

        The algorithm of a key backup is such a word: clients try new ones.
        """
        return [
            _text(error)
            for error in validator.iter_errors(body)
            if error.kind.name != "enum" or str(error.instance) not in self._words
        ]

    def _event_problems(self, body: Json) -> Iterator[str]:
        for event in _objects(body):
            validator = _content_validator(event)
            if validator is None or "redacted_because" in event.get("unsigned", {}):
                continue
            if _key(event["content"]) in self._sent:
                continue
            for problem in _errors(validator, event["content"]):
                yield f"{event['type']}: {problem} in {json.dumps(event['content'])}"


def _json_of(content: bytes) -> Json:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def _objects(value: Json) -> Iterator[dict[str, Json]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _key(value: Mapping[str, Json]) -> str:
    return json.dumps(value, sort_keys=True)


def _errors(validator: Draft202012Validator, body: Json) -> Iterator[str]:
    yield from map(_text, validator.iter_errors(body))


def _text(error: ValidationError) -> str:
    place = "/".join(map(str, error.instance_path)) or "the whole"
    return f"{place}: {error.message}"[:600]


def _compiled(schema: Json) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": {"schemas": SCHEMAS}})


@cache
def _error_validator() -> Draft202012Validator:
    return _compiled(_ERROR)


@cache
def _validator(operation: Operation, status: int) -> Draft202012Validator | None:
    defined = operation.definition["responses"].get(str(status), {})
    schema = defined.get("content", {}).get("application/json", {}).get("schema")
    return None if schema is None else _compiled(schema)


def _content_validator(event: Mapping[str, Json]) -> Draft202012Validator | None:
    """For what looks like an event of a known type."""
    type_, content = event.get("type"), event.get("content")
    if not isinstance(type_, str) or not isinstance(content, dict):
        return None
    kind = f"{type_}${content.get('msgtype', '')}"
    return _type_validator(kind) or _type_validator(type_)


@cache
def _type_validator(type_: str) -> Draft202012Validator | None:
    schema = SCHEMAS.get(f"event-schemas/schema/{type_}.yaml", {})
    for part in (schema, *schema.get("allOf", ())):
        if "content" in part.get("properties", {}):
            return _compiled(part["properties"]["content"])
    return None
