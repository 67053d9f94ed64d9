"""Finished results as a page, a workbook and a file for the customer system."""
