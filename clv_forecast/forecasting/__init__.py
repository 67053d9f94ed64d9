"""Value of each customer: expectations in closed form, bands from predictive draws.

A plan binds model, history and terms; expectations, paths and totals are read off it, for one model or a stack.
Evaluation, ranking, finance and reports call it; it never fits.
"""
