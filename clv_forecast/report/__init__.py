"""Finished results as a page, a workbook, a file for the customer system, account cards and a run folder.

A report holds the results of one day, checked to belong together; each writer reads it and computes nothing new.
The demo and scheduled runs call it, and users with results of their own.
"""
