from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clv_forecast.simulation import SimulatedAccounts, simulate_accounts


@pytest.fixture(scope="module")
def sim() -> SimulatedAccounts:
    return simulate_accounts(2_000, rng=1)


def test_shapes_and_ids(sim: SimulatedAccounts) -> None:
    assert len(sim.accounts) == len(sim.truth) == 2_000
    assert sim.accounts["customer_id"].is_unique
    assert (sim.accounts["customer_id"] == sim.truth["customer_id"]).all()
    assert set(sim.transactions["customer_id"]) == set(sim.accounts["customer_id"])


def test_expected_and_realised_revenue_agree() -> None:
    truth = simulate_accounts(30_000, rng=5).truth
    gap = truth["next_revenue"] - truth["expected_next_revenue"]
    assert abs(gap.sum()) < 3.0 * np.sqrt((gap**2).sum())


def test_nobody_grows_in_a_stationary_base() -> None:
    truth = simulate_accounts(500, rng=2, growing=0.0).truth
    assert (truth["expected_growth"] == 0.0).all()


def test_same_seed_same_tables(sim: SimulatedAccounts) -> None:
    pd.testing.assert_frame_equal(sim.transactions, simulate_accounts(2_000, rng=1).transactions)
