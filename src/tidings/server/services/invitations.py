"""Whom one may invite: people of this server who take invitations.

Source: client-server API, "Invite permission".
"""

from collections.abc import Sequence

import msgspec

from tidings.protocol.errors import Forbidden, InviteBlocked
from tidings.protocol.ids import UserId, server_name_of
from tidings.server.storage.database import ReadTx
from tidings.server.storage.people import PeopleStore

PERMISSION = "m.invite_permission_config"


class Invitations:
    """Judges invitations before they are made."""

    def __init__(self, people: PeopleStore, server_name: str) -> None:
        self._people = people
        self._server_name = server_name

    async def check(self, tx: ReadTx, targets: Sequence[UserId]) -> None:
        """Raise Forbidden unless each of the users can be invited, whoever asks."""
        for user_id in targets:
            if server_name_of(user_id) != self._server_name:
                raise Forbidden(f"{user_id} is on another server, and this one does not federate")
        for user_id, content in await self._people.account_data_by_user(tx, targets, PERMISSION):
            config: object = msgspec.json.decode(content)
            if isinstance(config, dict) and config.get("default_action") == "block":
                raise InviteBlocked(f"{user_id} takes no invitations")
