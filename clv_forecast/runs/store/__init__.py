"""Where scheduled runs lie: one at a time writes them, one is shown, and rows of them stand in a database.

Each step is on the disk before the next begins, so that a run cut short leaves the last one standing.
Reforecasting and the command line call it; it knows run folders, not what is in them.
"""
