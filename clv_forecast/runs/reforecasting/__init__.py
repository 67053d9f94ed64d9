"""The scheduled run: what it reads and makes, the gates it must pass, what it warns of, and backfills.

Inputs are read and frozen, results made through the rooms below, gates judged, and only then is anything published.
The command line calls it, and users from Python.
"""
