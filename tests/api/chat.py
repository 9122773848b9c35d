"""What people do in rooms, as tests say it."""

from collections.abc import Awaitable, Mapping
from itertools import count
from typing import Any
from urllib.parse import quote

import httpx

from tests.api.server import Person

_numbers = count()


def room_path(room_id: str) -> str:
    return f"/rooms/{quote(room_id, safe='')}"


def user_path(person: Person) -> str:
    return f"/user/{quote(person.user_id, safe='')}"


async def create_room(*people: Person, **options: object) -> str:
    """A room of the first, which the others have joined."""
    body = {"preset": "public_chat", **options}
    room_id: str = (await done(people[0].post("/createRoom", body)))["room_id"]
    for person in people[1:]:
        await done(person.post(f"{room_path(room_id)}/join"))
    return room_id


async def send(person: Person, room_id: str, body: str = "hello", /, **content: object) -> str:
    """Send a message; its event id."""
    path = f"{room_path(room_id)}/send/m.room.message/{next(_numbers)}"
    message = {"msgtype": "m.text", "body": body, **content}
    event_id: str = (await done(person.put(path, message)))["event_id"]
    return event_id


def in_thread(root: str) -> dict[str, object]:
    """The content that puts a message in a thread."""
    return {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}


def mentioning(*people: Person) -> dict[str, object]:
    """The content that mentions people."""
    return {"m.mentions": {"user_ids": [person.user_id for person in people]}}


async def redact(person: Person, room_id: str, event_id: str) -> None:
    await done(person.put(f"{room_path(room_id)}/redact/{quote(event_id)}/{next(_numbers)}"))


async def read(
    person: Person, room_id: str, event_id: str, kind: str = "m.read", **body: object
) -> None:
    """Send a receipt."""
    await done(person.post(f"{room_path(room_id)}/receipt/{kind}/{quote(event_id)}", body))


async def sync(person: Person, since: str | None = None, **query: str | int) -> dict[str, Any]:
    if since is not None:
        query["since"] = since
    return await done(person.get("/sync", **query))


async def done(answering: Awaitable[httpx.Response]) -> dict[str, Any]:
    """The body of an answer that must be a success."""
    answer = await answering
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def room_of(synced: Mapping[str, Any], room_id: str) -> dict[str, Any]:
    """What a sync tells of a joined room."""
    found: dict[str, Any] = synced.get("rooms", {}).get("join", {}).get(room_id, {})
    return found


def ephemeral(synced: Mapping[str, Any], room_id: str, type_: str) -> dict[str, Any] | None:
    """The content of a room's ephemeral event, if there is one."""
    events = room_of(synced, room_id).get("ephemeral", {}).get("events", [])
    contents = [event["content"] for event in events if event["type"] == type_]
    return contents[0] if contents else None


def account_data_in(section: Mapping[str, Any]) -> dict[str, Any]:
    """The contents of account data by type, of a sync or of a room in it."""
    events = section.get("account_data", {}).get("events", [])
    return {event["type"]: event["content"] for event in events}


def counts(synced: Mapping[str, Any], room_id: str) -> tuple[int, int]:
    """How many unread events notify and how many highlight."""
    unread = room_of(synced, room_id)["unread_notifications"]
    return unread["notification_count"], unread["highlight_count"]


async def unread(person: Person, room_id: str) -> tuple[int, int]:
    """The counts that a first sync shows."""
    return counts(await sync(person), room_id)


THREADS_APART = '{"room":{"timeline":{"unread_thread_notifications":true}}}'


async def unread_threads(person: Person, room_id: str) -> dict[str, tuple[int, int]]:
    """The counts by thread, `main` included, that a first sync shows."""
    synced = await sync(person, filter=THREADS_APART)
    threads = room_of(synced, room_id).get("unread_thread_notifications", {})
    counted = {
        thread: (each["notification_count"], each["highlight_count"])
        for thread, each in threads.items()
    }
    return {"main": counts(synced, room_id), **counted}
