"""Fitted models and tables of other packages, in and out."""
