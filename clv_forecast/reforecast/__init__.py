"""The scheduled run: configuration, gates, store and publication."""
