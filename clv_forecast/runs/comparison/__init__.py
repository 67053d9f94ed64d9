"""Two runs side by side: where value went, what drifted, and how old forecasts did.

Snapshots of runs, or of forecasts at hand, are all it reads. Scheduled runs, the demo and users call it.
"""
