"""The configuration of scheduled runs: read and checked as a whole, explained key by key, begun from a look at data."""
