"""From a forecast to an order of accounts: metrics, potential, referral, ranking, matrix, drivers.

Facts of accounts, what they could bring beside, ranks with bands from joint draws, and the reasons in words.
Finance, reports and scheduled runs call it; it forecasts and looks back through the rooms below.
"""
