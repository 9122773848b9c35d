"""Rooms: list, create, join, leave, invite, members.

For example:
  tidings room create "Dev" --alias dev --invite @ann --invite @bob
  tidings room join '#dev'
  tidings room members Dev --json
"""

import argparse
from collections.abc import Awaitable, Callable

from tidings.cli.context import Context
from tidings.cli.exits import Exit, exit_code_of
from tidings.cli.options import add_common_options, room_or_default
from tidings.client import rooms
from tidings.client.errors import ApiError
from tidings.client.http import Http
from tidings.client.room_list import load_rooms
from tidings.client.room_lookup import resolve, with_own_server
from tidings.client.room_names import room_name
from tidings.client.state import Room
from tidings.protocol.events import JsonObject


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verbs and their options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verbs.add_parser("list", help="the rooms you are in or invited to")
    create = verbs.add_parser("create", help="make a room and print its id")
    create.add_argument("name", nargs="?", metavar="NAME", help="what it is called")
    create.add_argument("--alias", metavar="ALIAS", help="its short address: dev for #dev:server")
    create.add_argument("--topic", metavar="TEXT", help="what it is about")
    create.add_argument("--public", action="store_true", help="anybody may join it and find it")
    create.add_argument("--invite", action="append", default=[], metavar="@USER", help="let in")
    join = verbs.add_parser("join", help="enter a room by id or alias")
    join.add_argument("room", metavar="ROOM", help="its id or #alias")
    leave = verbs.add_parser("leave", help="leave a room, or refuse an invitation")
    leave.add_argument("room", metavar="ROOM", help="its id, #alias or name")
    invite = verbs.add_parser("invite", help="invite people")
    invite.add_argument("room", metavar="ROOM", help="its id, #alias or name")
    invite.add_argument("users", nargs="+", metavar="@USER", help="whom")
    members = verbs.add_parser("members", help="who is in a room")
    members.add_argument("room", nargs="?", metavar="ROOM", help="which (else TIDINGS_ROOM)")
    for verb in verbs.choices.values():
        verb.argument_default = argparse.SUPPRESS  # what stands before the verb counts too
        add_common_options(verb)


async def run(context: Context) -> int:
    """Do what the verb says."""
    async with await context.connect() as http:
        return await _VERBS[context.options.verb](context, http)


async def _list(context: Context, http: Http) -> int:
    found = {
        room_id: (room_name(room, http.user_id), room)
        for room_id, room in (await load_rooms(http)).items()
    }
    for room_id, (name, room) in sorted(found.items(), key=lambda entry: entry[1][0].casefold()):
        if context.as_json:
            context.output.json(_room_record(room_id, name, room))
        else:
            suffix = "" if room.membership == "join" else f" ({room.membership})"
            context.output.line(f"{room_id}\t{name}{suffix}")
    return Exit.OK


def _room_record(room_id: str, name: str, room: Room) -> JsonObject:
    return {
        "schema": "tidings.room/1",
        "room_id": room_id,
        "name": name,
        "membership": room.membership,
        "members": room.summary.get("m.joined_member_count"),
        "unread": room.unread.notification_count,
        "highlights": room.unread.highlight_count,
    }


async def _create(context: Context, http: Http) -> int:
    options = context.options
    room_id = await rooms.create(
        http,
        rooms.CreateRoom(
            name=options.name,
            topic=options.topic,
            room_alias_name=_alias_localpart(options.alias),
            preset="public_chat" if options.public else "private_chat",
            visibility="public" if options.public else "private",
            invite=[with_own_server(http, user) for user in options.invite],
        ),
    )
    _print_id(context, room_id)
    return Exit.OK


def _alias_localpart(alias: str | None) -> str | None:
    return alias.removeprefix("#").partition(":")[0] if alias else None


def _print_id(context: Context, room_id: str) -> None:
    if context.as_json:
        context.output.json({"room_id": room_id})
    else:
        context.output.line(room_id)


async def _join(context: Context, http: Http) -> int:
    room: str = context.options.room
    address = with_own_server(http, room) if room.startswith("#") else room
    _print_id(context, await rooms.join(http, address))
    return Exit.OK


async def _leave(context: Context, http: Http) -> int:
    await rooms.leave(http, await resolve(http, context.options.room))
    return Exit.OK


async def _invite(context: Context, http: Http) -> int:
    room_id = await resolve(http, context.options.room)
    users = [with_own_server(http, user) for user in context.options.users]
    failures: list[ApiError] = []
    for user_id in users:
        try:
            await rooms.invite(http, room_id, user_id)
        except ApiError as error:
            context.output.failure(f"{user_id} was not invited: {error.message}", error.hint)
            failures.append(error)
    if not failures:
        return Exit.OK
    return Exit.PARTLY_DONE if len(failures) < len(users) else exit_code_of(failures[0])


async def _members(context: Context, http: Http) -> int:
    room_id = await resolve(http, room_or_default(context.options.room, context.environment))
    for member in await rooms.load_members(http, room_id):
        if context.as_json:
            shown = {"user_id": member.user_id, "membership": member.membership}
            context.output.json({**shown, "display_name": member.display_name or None})
        elif member.membership in {"join", "invite"}:
            suffix = " (invited)" if member.membership == "invite" else ""
            context.output.line(f"{member.user_id}\t{member.display_name}{suffix}")
    return Exit.OK


_VERBS: dict[str, Callable[[Context, Http], Awaitable[int]]] = {
    "list": _list,
    "create": _create,
    "join": _join,
    "leave": _leave,
    "invite": _invite,
    "members": _members,
}
