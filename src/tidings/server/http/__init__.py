"""The ASGI edge: from bytes to a request, from a value or an error to bytes."""
