"""The push rules API. Source: client-server API, "Push Rules: API"."""

from collections.abc import Callable

import msgspec

from tidings.protocol.events import JsonObject
from tidings.rules import push_rules as rules
from tidings.server.http.request import EMPTY, Request, Response, json_response
from tidings.server.http.routing import V3, Endpoint, Route
from tidings.server.services.push_rules import PushRules

MEMBERS = ("enabled", "actions")


class _Enabled(msgspec.Struct):
    enabled: bool


class _Actions(msgspec.Struct):
    actions: list[object]


def routes(push_rules: PushRules) -> list[Route]:
    """What notifies a user, and how."""

    async def get_all(request: Request) -> Response:
        return json_response({"global": await push_rules.get(request.requester.user_id)})

    async def get_global(request: Request) -> Response:
        return json_response(await push_rules.get(request.requester.user_id))

    async def get_rule(request: Request) -> Response:
        return json_response(await _rule_of(push_rules, request))

    async def put_rule(request: Request) -> Response:
        (kind, rule_id), body, query = _named(request), request.json_object(), request.query

        def edit(ruleset: JsonObject) -> JsonObject:
            before, after = query.get("before"), query.get("after")
            return rules.set_rule(ruleset, kind, rule_id, body, before, after)

        return await _edit(push_rules, request, edit)

    async def delete_rule(request: Request) -> Response:
        kind, rule_id = _named(request)
        return await _edit(
            push_rules, request, lambda ruleset: rules.delete_rule(ruleset, kind, rule_id)
        )

    async def put_enabled(request: Request) -> Response:
        (kind, rule_id), enabled = _named(request), request.json(_Enabled).enabled
        return await _edit(
            push_rules, request, lambda ruleset: rules.set_enabled(ruleset, kind, rule_id, enabled)
        )

    async def put_actions(request: Request) -> Response:
        (kind, rule_id), actions = _named(request), request.json(_Actions).actions
        return await _edit(
            push_rules, request, lambda ruleset: rules.set_actions(ruleset, kind, rule_id, actions)
        )

    base = f"{V3}/pushrules"
    rule = f"{base}/global/{{kind}}/{{rule_id}}"
    return [
        Route("GET", f"{base}/", get_all),
        Route("GET", base, get_all),  # COMPAT(clients that leave out the last slash)
        Route("GET", f"{base}/global/", get_global),
        Route("GET", f"{base}/global", get_global),  # COMPAT(the same)
        Route("GET", rule, get_rule),
        Route("PUT", rule, put_rule),
        Route("DELETE", rule, delete_rule),
        *(Route("GET", f"{rule}/{name}", _get_member(push_rules, name)) for name in MEMBERS),
        Route("PUT", f"{rule}/enabled", put_enabled),
        Route("PUT", f"{rule}/actions", put_actions),
    ]


def _get_member(push_rules: PushRules, name: str) -> Endpoint:
    async def get_member(request: Request) -> Response:
        rule = await _rule_of(push_rules, request)
        return json_response({name: rule.get(name)})

    return get_member


async def _rule_of(push_rules: PushRules, request: Request) -> JsonObject:
    kind, rule_id = _named(request)
    return rules.get_rule(await push_rules.get(request.requester.user_id), kind, rule_id)


async def _edit(
    push_rules: PushRules, request: Request, edit: Callable[[JsonObject], JsonObject]
) -> Response:
    await push_rules.edit(request.requester.user_id, edit)
    return EMPTY


def _named(request: Request) -> tuple[str, str]:
    return request.params["kind"], request.params["rule_id"]
