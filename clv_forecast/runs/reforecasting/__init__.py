"""The scheduled run: what it reads and makes, the gates it must pass, what it warns of, and backfills."""
