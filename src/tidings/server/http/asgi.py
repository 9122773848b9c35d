"""The words of ASGI, as far as they are needed."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TypeAlias

Message: TypeAlias = MutableMapping[str, object]
Scope: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


def body_of(message: Message) -> bytes:
    """The bytes that a message carries."""
    body = message.get("body", b"")
    return body if isinstance(body, bytes) else b""
