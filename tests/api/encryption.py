"""What devices do with keys and messages to each other, as tests say it."""

from itertools import count
from typing import Any

from tests.api.chat import done
from tests.api.server import Person

ALGORITHMS = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]
_numbers = count()


def identity_of(person: Person, name: str = "key", **more: object) -> dict[str, Any]:
    """Identity keys in the right shape; the server does not look at what they are worth."""
    device_id = person.device_id
    return {
        "user_id": person.user_id,
        "device_id": device_id,
        "algorithms": ALGORITHMS,
        "keys": {f"curve25519:{device_id}": f"c-{name}", f"ed25519:{device_id}": f"e-{name}"},
        "signatures": {person.user_id: {f"ed25519:{device_id}": "signature"}},
        **more,
    }


def key(name: str, **more: object) -> dict[str, Any]:
    return {"key": name, "signatures": {"@a:test": {"ed25519:D": "s"}}, **more}


def one_time_keys(*names: str) -> dict[str, Any]:
    return {f"signed_curve25519:{name}": key(name) for name in names}


async def upload(person: Person, **body: object) -> dict[str, int]:
    """Upload keys; how many one-time keys the device has now."""
    answer = await done(person.post("/keys/upload", body))
    counts: dict[str, int] = answer["one_time_key_counts"]
    return counts


async def upload_identity(person: Person, name: str = "key") -> None:
    await upload(person, device_keys=identity_of(person, name))


async def query(person: Person, *people: Person) -> dict[str, Any]:
    wanted: dict[str, list[str]] = {other.user_id: [] for other in people}
    return await done(person.post("/keys/query", {"device_keys": wanted}))


async def claim(person: Person, *devices: Person) -> dict[str, Any]:
    """Claim a key of each device; by device id what was given, name and key."""
    wanted: dict[str, dict[str, str]] = {}
    for device in devices:
        wanted.setdefault(device.user_id, {})[device.device_id] = "signed_curve25519"
    found = (await done(person.post("/keys/claim", {"one_time_keys": wanted})))["one_time_keys"]
    return {device_id: keys for user in found.values() for device_id, keys in user.items()}


async def send_to(
    person: Person, user_id: str, device_id: str, body: object, type_: str = "m.test"
) -> None:
    """Send a message to a device."""
    messages = {user_id: {device_id: {"body": body}}}
    path = f"/sendToDevice/{type_}/{next(_numbers)}"
    await done(person.put(path, {"messages": messages}))


def messages_in(synced: dict[str, Any]) -> list[Any]:
    """The bodies of the messages to the device that a sync brings."""
    return [event["content"]["body"] for event in synced.get("to_device", {}).get("events", [])]


def device_lists_in(synced: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Whose devices have changed and who is met no more."""
    lists = synced.get("device_lists", {})
    return lists.get("changed", []), lists.get("left", [])
