"""Networks that are not bridged."""

import pytest

from tests.api.server import ApiServer, problem


@pytest.mark.parametrize("kind", ["location", "user"])
async def test_nothing_is_found_where_nothing_is_bridged(server: ApiServer, kind: str) -> None:
    alice = await server.user("alice")
    assert (await alice.get("/thirdparty/protocols")).json() == {}
    assert problem(await alice.get("/thirdparty/protocol/irc")) == (404, "M_NOT_FOUND")
    assert (await alice.get(f"/thirdparty/{kind}")).json() == []
    assert (await alice.get(f"/thirdparty/{kind}/irc")).json() == []


async def test_an_account_has_no_addresses(server: ApiServer) -> None:
    alice = await server.user("alice")
    assert (await alice.get("/account/3pid")).json() == {"threepids": []}
