"""Decisions: pure functions from values to values or a catalogue error. No I/O, no clock."""
