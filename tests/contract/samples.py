"""Requests made from the definitions: the least that an operation takes."""

from tests.contract.definitions import SCHEMAS, Json, Operation

_TEXTS = {
    "mx-user-id": "@bob:localhost",
    "mx-room-id": "!room:localhost",
    "mx-event-id": "$event",
    "mx-mxc-uri": "mxc://localhost/x",
}


def least_body(operation: Operation) -> Json:
    """A body that has what is required and no more; None where there is no JSON."""
    content = operation.definition.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return None if schema is None else _least(schema, 0)


def least_query(operation: Operation) -> dict[str, Json]:
    """The query parameters that are required."""
    parameters = map(_resolve, operation.definition.get("parameters", []))
    return {
        parameter["name"]: _least(parameter["schema"], 0)
        for parameter in parameters
        if parameter["in"] == "query" and parameter.get("required")
    }


def _resolve(schema: Json) -> Json:
    """The schema with what it refers to and all its parts, in one."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        key, _, rest = name.partition("/")
        target = SCHEMAS[key.replace("~1", "/").replace("~0", "~")]
        for step in filter(None, rest.split("/")):
            target = target[step]
        return _resolve({**target, **{k: v for k, v in schema.items() if k != "$ref"}})
    whole = dict(schema)
    for part in [*schema.get("allOf", []), *schema.get("anyOf", [])[:1]]:
        found = _resolve(part)
        whole["properties"] = {**whole.get("properties", {}), **found.get("properties", {})}
        whole["required"] = [*whole.get("required", []), *found.get("required", [])]
        whole.setdefault("type", found.get("type", "object"))
    return whole


def _least(schema: Json, depth: int) -> Json:
    found = _resolve(schema)
    if "enum" in found:
        return found["enum"][0]
    if "const" in found:
        return found["const"]
    kind = found.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" and depth < 8:
        needed = dict.fromkeys(found.get("required", []))
        inner = found.get("properties", {})
        return {name: _least(inner.get(name, {}), depth + 1) for name in needed}
    plain = {"array": [], "boolean": True, "integer": 1, "number": 1, "object": {}}
    return plain.get(kind, _TEXTS.get(found.get("format", ""), "x"))
