"""What may be spent on accounts and on new customers, when it pays back, and which accounts lose money.

Allowances, effects of spend, budgets, cohorts of new customers, all on the draws of one forecast.
Reports and scheduled runs call it.
"""
