"""From what a person types to the base URL of a homeserver.

Source: client-server API, "Server discovery", "Well-known URI".
"""

import httpx
import msgspec

from tidings.client.backoff import NO_PATIENCE
from tidings.client.errors import ApiError, BadAnswer, ClientError, NetworkError, NotFound
from tidings.client.http import Http, Request, Surroundings


class _HomeserverPlace(msgspec.Struct, frozen=True):
    base_url: str


class _WellKnown(msgspec.Struct, frozen=True):
    homeserver: _HomeserverPlace = msgspec.field(name="m.homeserver")


_WELL_KNOWN = Request("GET", "/.well-known/matrix/client", follow_redirects=True)


class _Versions(msgspec.Struct, frozen=True):
    versions: list[str]


async def discover(server: str, surroundings: Surroundings | None = None) -> str:
    """The base URL for `example.org`, `@ann:example.org`, `localhost:8008` or `http://host:port`."""
    name = server.strip().rstrip("/")
    if name.startswith("@"):
        name = name.partition(":")[2]
    if not name:
        raise BadAnswer("no server was named", "name one, such as example.org or http://host:8008")
    if "://" in name:
        return await _check(name, surroundings)
    return await _first_that_answers(await _candidates(name, surroundings), surroundings)


async def _candidates(name: str, surroundings: Surroundings | None) -> list[str]:
    if found := await _find_well_known(f"https://{name}", surroundings):
        return [found]
    # A bare host:port is what people type for a server on their own machine or network.
    return [f"https://{name}", f"http://{name}"] if _is_local(name) else [f"https://{name}"]


def _is_local(name: str) -> bool:
    host = httpx.URL(f"http://{name}").host
    return host in {"localhost", "::1"} or host.startswith(("127.", "10.", "192.168."))


async def _find_well_known(base_url: str, surroundings: Surroundings | None) -> str | None:
    async with Http(base_url, patience=NO_PATIENCE, surroundings=surroundings) as http:
        try:
            found = await http.call(_WELL_KNOWN, _WellKnown)
        except (NotFound, NetworkError):
            return None  # IGNORE: there is none, so the name itself is the address
        except (ApiError, BadAnswer) as error:
            raise BadAnswer(
                f"{base_url}/.well-known/matrix/client is broken: {error.message}",
                "give the server's own address instead, such as https://matrix.example.org",
            ) from error
    return found.homeserver.base_url.rstrip("/")


async def _first_that_answers(candidates: list[str], surroundings: Surroundings | None) -> str:
    failure: ClientError | None = None
    for base_url in candidates:
        try:
            return await _check(base_url, surroundings)
        except ClientError as error:
            failure = failure or error
    raise failure or NetworkError("there is no address to try")


async def _check(base_url: str, surroundings: Surroundings | None) -> str:
    """The base URL itself, once a homeserver has answered there."""
    async with Http(base_url, patience=NO_PATIENCE, surroundings=surroundings) as http:
        try:
            await http.get("/_matrix/client/versions", _Versions)
        except (ApiError, BadAnswer) as error:
            raise BadAnswer(
                f"{base_url} answers, but is not a Matrix homeserver: {error.message}",
                "check the address and the port",
            ) from error
    return base_url
