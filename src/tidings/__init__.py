"""Tidings: a Matrix homeserver, and the clients developers choose for themselves."""

__version__ = "0.1.0"
