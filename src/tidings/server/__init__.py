"""The homeserver."""
