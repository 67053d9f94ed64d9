"""Simulated accounts with the truth beside the data."""

from clv_forecast.simulation.simulated_accounts import SimulatedAccounts, simulate_accounts

__all__ = ["SimulatedAccounts", "simulate_accounts"]
