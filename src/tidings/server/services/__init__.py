"""Use cases: each method is one recipe inside one transaction."""
