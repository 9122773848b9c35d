"""The Matrix vocabulary: ids, events, errors, canonical JSON. No I/O, no decisions."""
