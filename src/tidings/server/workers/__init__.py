"""Loops that call services."""
