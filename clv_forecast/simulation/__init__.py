"""Simulated accounts with the truth beside the data.

Orders, attributes, wallets, growth, referrals and events of a made-up company, from one seed. Tests, the demo and
notebooks call it; no verb does.
"""

from clv_forecast.simulation.simulated_accounts import SimulatedAccounts, simulate_accounts

__all__ = ["SimulatedAccounts", "simulate_accounts"]
