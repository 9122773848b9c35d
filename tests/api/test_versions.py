from collections.abc import Awaitable, Callable

from tests.api.chat import done
from tests.api.server import ApiServer, problem

Starter = Callable[..., Awaitable[ApiServer]]


async def test_versions_are_told_to_anybody(server: ApiServer) -> None:
    answer = await done(server.nobody.get("/_matrix/client/versions"))
    assert {"r0.6.1", "v1.1", "v1.19"} <= set(answer["versions"])
    assert isinstance(answer["unstable_features"], dict)


async def test_capabilities(server: ApiServer) -> None:
    alice = await server.user("alice")
    capabilities = (await done(alice.get("/capabilities")))["capabilities"]
    assert capabilities["m.room_versions"] == {
        "default": "11",
        "available": {"10": "stable", "11": "stable", "12": "stable"},
    }
    assert capabilities["m.change_password"] == {"enabled": True}
    assert problem(await server.nobody.get("/capabilities")) == (401, "M_MISSING_TOKEN")


async def test_the_address_of_the_homeserver(start_server: Starter) -> None:
    server = await start_server()
    answer = await server.http.get("/.well-known/matrix/client")
    assert answer.json() == {"m.homeserver": {"base_url": "http://test"}}
    server = await start_server(public_url="https://chat.example.org")
    answer = await server.http.get("/.well-known/matrix/client")
    assert answer.json() == {"m.homeserver": {"base_url": "https://chat.example.org"}}
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_unknown_paths_say_so_to_browsers_too(server: ApiServer) -> None:
    for path in ("/_matrix/client/v3/nothing", "/nothing", "/"):
        answer = await server.http.get(path)
        assert problem(answer) == (404, "M_UNRECOGNIZED")
        assert answer.headers["access-control-allow-origin"] == "*"
    wrong = await server.nobody.post("/_matrix/client/versions")
    assert problem(wrong) == (405, "M_UNRECOGNIZED")
