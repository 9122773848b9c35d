"""Searching for people.

Source: client-server API, "User Directory".
"""

from functools import partial

import msgspec

from tidings.server.http.request import Request, Response, json_response
from tidings.server.http.routing import V3, Route
from tidings.server.services.user_directory import UserDirectory


class SearchBody(msgspec.Struct, frozen=True):
    """The body of POST /user_directory/search."""

    search_term: str
    limit: int = 10


def routes(directory: UserDirectory) -> list[Route]:
    """The endpoint of the user directory."""
    return [Route("POST", f"{V3}/user_directory/search", partial(search, directory))]


async def search(directory: UserDirectory, request: Request) -> Response:
    """POST /user_directory/search."""
    body = request.json(SearchBody)
    found = await directory.search(request.requester.user_id, body.search_term, body.limit)
    return json_response(found)
