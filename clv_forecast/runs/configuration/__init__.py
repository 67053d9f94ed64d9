"""The configuration of scheduled runs: read and checked as a whole, explained key by key, begun from a look at data.

Every key has its meaning, default and limits in one place, and all mistakes of a file are told at once.
Reforecasting and the command line call it; it computes nothing.
"""
