"""A user proves to another service who they are."""

from urllib.parse import quote

from tests.api.chat import done, user_path
from tests.api.server import ApiServer, problem

USERINFO = "/_matrix/federation/v1/openid/userinfo"


async def test_a_token_tells_whose_it_is_for_an_hour(server: ApiServer) -> None:
    alice = await server.user("alice")
    told = await done(alice.post(f"{user_path(alice)}/openid/request_token"))
    assert (told["matrix_server_name"], told["expires_in"]) == ("localhost", 3600)
    token = told["access_token"]
    answer = await done(server.nobody.get(USERINFO, access_token=token))
    assert answer == {"sub": alice.user_id}
    assert problem(await server.holding(token).get("/account/whoami")) == (401, "M_UNKNOWN_TOKEN")
    server.clock.advance(3_600_000)
    late = await server.nobody.get(USERINFO, access_token=token)
    assert problem(late) == (401, "M_UNKNOWN_TOKEN")
    assert problem(await server.nobody.get(USERINFO)) == (400, "M_MISSING_PARAM")


async def test_nobody_gets_the_token_of_another(server: ApiServer) -> None:
    alice, bob = await server.user("alice"), await server.user("bob")
    path = f"/user/{quote(alice.user_id)}/openid/request_token"
    assert problem(await bob.post(path)) == (403, "M_FORBIDDEN")
