"""The committed state in memory, kept current by the stream of changes, and who waits for it."""
