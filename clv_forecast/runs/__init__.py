"""The scheduled run and what belongs to it, in four subrooms, lower ones first.

`comparison` sets two runs side by side, `configuration` is the file `clv.toml`, `store` is where runs lie, and
`reforecasting` makes, judges and publishes a run. The command line calls them; nothing below knows of schedules.
"""
