"""One simulated base, its forecast, potential and ranking, made once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import clv_forecast as clv


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    sim: clv.SimulatedAccounts
    history: clv.PurchaseHistory
    forecast: clv.Forecast
    potential: clv.Potential


@pytest.fixture(scope="session")
def base() -> Base:
    sim = clv.simulate_accounts(400, rng=11, growing=0.8)
    history = clv.purchase_history(
        sim.transactions,
        as_of=sim.as_of,
        customers=sim.accounts,
        order_id="order_id",
        category="category",
        margin="margin",
    )
    model = clv.fit(history, compare=False, draws=200)
    fc = clv.forecast(model, history, horizons=["6 months", "12 months"], margin="margin", draws=300)
    found = clv.potential(history, fc)
    assert (found.table["potential_value"] > 0.0).sum() > 100  # else much below would be true of nothing
    return Base(sim=sim, history=history, forecast=fc, potential=found)


@pytest.fixture(scope="session")
def ranking(base: Base) -> clv.Ranking:
    return clv.rank(base.forecast, potential=base.potential, top_k=40, draws=300)
