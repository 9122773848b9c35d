from tests.api.media import PIXEL, V1, uploaded
from tests.api.server import ApiServer, problem

OLD = "/_matrix/media/v3"


async def test_downloads_without_a_token_are_frozen(server: ApiServer) -> None:
    alice = await server.user("alice")
    path = await uploaded(alice, PIXEL)
    for person in (alice, server.nobody):
        for old in (f"download/{path}", f"download/{path}/x.png", f"thumbnail/{path}"):
            assert problem(await person.get(f"{OLD}/{old}")) == (404, "M_NOT_FOUND")


async def test_the_old_config(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert (await alice.get(f"{OLD}/config")).json() == (await alice.get(f"{V1}/config")).json()
    assert problem(await server.nobody.get(f"{OLD}/config")) == (401, "M_MISSING_TOKEN")
