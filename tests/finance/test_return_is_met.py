"""Spend what is allowed in simulated worlds with and without the spend: the return comes as often as stated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from tests.finance.worlds import simulate

pytestmark = pytest.mark.slow

PER_POOL = 25
ROI = 0.2


@pytest.fixture(scope="module")
def world():
    return simulate(2000, per_pool=PER_POOL, seed=7, draws=300)


def met(values, spent):
    """Share of the spends that earn the return, and its standard error."""
    share = (values >= (1.0 + ROI) * spent - 1e-9).mean()
    return share, np.sqrt(share * (1.0 - share) / len(values))


def by_pool(world, values):
    return pd.Series(values).groupby(world.summary["pool"].to_numpy()).sum().to_numpy()


@pytest.mark.parametrize("confidence", [0.5, 0.8])
def test_ceiling(world, confidence):
    found = clv.allowable_spend(world.forecast, target_roi=ROI, confidence=confidence, by="pool")
    single = found.table["allowable_single"].to_numpy()
    some = single > 0.0
    share, error = met(world.without[some], single[some])
    assert some.sum() > 100
    assert abs(share - confidence) < 4.0 * error + 0.005  # no atom: met as often as stated, not more often
    assert met(world.without, single)[0] >= confidence
    pooled = found.totals["allowable_pooled"].to_numpy()
    share, error = met(by_pool(world, world.without), pooled)
    assert abs(share - confidence) < 4.0 * max(error, 0.015)


def test_retain(world):
    uplift, confidence = 0.6, 0.8
    found = clv.allowable_spend(
        world.forecast, basis="retain", uplift=uplift, target_roi=ROI, confidence=confidence, by="pool"
    )
    saved = np.random.default_rng(5).random(len(world.kept)) < uplift
    gained = np.where(saved, world.kept - world.without, 0.0)
    expected = found.table["value_at_stake"].to_numpy()
    assert abs(gained.sum() - expected.sum()) < 4.0 * gained.std() * np.sqrt(len(gained))
    many = expected > np.quantile(expected, 0.9)  # not only in all: also where most is to be kept
    assert abs(gained[many].sum() - expected[many].sum()) < 4.0 * gained[many].std() * np.sqrt(many.sum())
    pooled = found.totals["allowable_pooled"].to_numpy()
    share, error = met(by_pool(world, gained), pooled)
    assert abs(share - confidence) < 4.0 * max(error, 0.015)
    ceiling = clv.allowable_spend(world.forecast, target_roi=ROI, confidence=confidence, by="pool")
    # spending the ceiling to retain does not earn the return: it is no recommendation
    assert met(by_pool(world, gained), ceiling.totals["allowable_pooled"].to_numpy())[0] < 0.1


def test_a_wrong_uplift_fails_the_check(world):
    believed = clv.allowable_spend(world.forecast, basis="retain", uplift=0.9, target_roi=ROI, by="pool")
    saved = np.random.default_rng(5).random(len(world.kept)) < 0.3
    gained = by_pool(world, np.where(saved, world.kept - world.without, 0.0))
    assert met(gained, believed.totals["allowable_pooled"].to_numpy())[0] < 0.3


def test_payback_comes_when_it_is_said_to(world):
    found = clv.allowable_spend(world.forecast, target_roi=ROI, confidence=0.8, by="pool", payback="3 months")
    assert found.totals["payback_months"].le(3.0).all()
    assert (found.totals["p_payback"] >= 0.8).all()
