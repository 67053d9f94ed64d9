"""Cohorts in worlds whose future is known: do the bands hold, and is the better channel found?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast.finance.cohorts import Cohorts, cohorts
from tests.finance.arrivals import AS_OF, START, arrivals

MARGIN, RATE, DAYS = 0.4, 0.10, 365.2425
END = AS_OF + pd.Timedelta(days=365)


def judged(log: pd.DataFrame, **options: object) -> Cohorts:
    kinds = log[["customer_id", "channel"]].drop_duplicates("customer_id")
    past = log[log["date"] <= AS_OF]
    history = clv.purchase_history(past, as_of=AS_OF, customers=kinds, observed_from=START)
    model = clv.fit(history, compare=False, draws=200)
    fc = clv.forecast(model, history, horizons=["12 months"], margin=MARGIN, discount_rate_annual=RATE, draws=300)
    return cohorts(fc, **options)


def what_came(log: pd.DataFrame, *, first_year_only: bool = False) -> pd.Series:
    """Contribution of each quarter's customers to the end of the future, or to their first birthday."""
    first = log.groupby("customer_id")["date"].transform("min")
    years = (log["date"] - first).dt.days / DAYS
    kept = (first <= AS_OF) & (log["date"] <= END) & ((years <= 1.0) | (not first_year_only))
    money = MARGIN * log["amount"] * (1.0 + RATE) ** -years
    return money[kept].groupby(first[kept].dt.to_period("Q").astype(str)).sum()


@pytest.mark.slow
def test_bands_of_totals_hold_the_future() -> None:
    inside, at_age, narrow, place = [], [], [], []
    for seed in range(8):
        log = arrivals(np.random.default_rng(seed), 1000)
        table = judged(log, by=None).table.set_index("cohort")
        came, at_birthday = what_came(log)[table.index], what_came(log, first_year_only=True)[table.index]
        assert len(table) == 6
        inside.append(came.between(table["total_lower"], table["total_upper"]))
        half = 0.2 * (table["total_upper"] - table["total_lower"]) / 2.0
        narrow.append((came - table["total"]).abs() <= half)
        young = table["equal_age_upper"] > table["equal_age_lower"] * 1.0001
        each = at_birthday / table["new_customers"]
        at_age.append(each.between(table["equal_age_lower"], table["equal_age_upper"])[young])
        place.append(came > table["total"])
    assert 0.78 < np.mean(inside) < 0.99  # 48 bands of 90 %: standard error 4.3 %
    assert 0.78 < np.mean(np.concatenate(at_age)) < 0.99
    assert 0.3 < np.mean(place) < 0.7
    assert np.mean(narrow) < 0.5  # a fifth of the band would not do


@pytest.mark.slow
def test_a_better_channel_and_better_cohorts_are_found() -> None:
    """Online customers are worth half; those of the field become twice as good in 2023."""

    def worth(quarter: np.ndarray, channel: np.ndarray) -> np.ndarray:
        return np.where(channel == 1, 0.5, np.where(quarter >= 4, 2.0, 1.0))

    found = judged(arrivals(np.random.default_rng(21), 2400, worth=worth))
    whole = found.totals[found.totals["cohort"] == "all"].set_index("channel")
    assert whole.loc["field", "lower"] > 1.5 * whole.loc["online", "upper"]
    assert whole.loc["field", "equal_age_lower"] > 1.5 * whole.loc["online", "equal_age_upper"]
    rows = found.same_age[found.same_age["channel"] != "all"].dropna(subset=["p_better"])
    better = (rows["channel"] == "field") & (rows["cohort"] == "2023Q1")
    assert rows.loc[better, "age_months"].tolist() == [1, 3]
    assert (rows.loc[better, "p_better"] > 0.97).all()
    assert rows.loc[~better, "p_better"].between(0.02, 0.98).all()
    assert found.judged_by == "pooled model"


@pytest.mark.slow
def test_alike_cohorts_are_pulled_together() -> None:
    chances, observed, shrunk = [], [], []
    for seed in range(40, 44):
        rows = judged(arrivals(np.random.default_rng(seed), 900)).same_age
        rows = rows[rows["channel"] != "all"]
        chances.append(rows["p_better"].dropna())
        for name, into in (("contribution_per_customer", observed), ("shrunk", shrunk)):
            into.append(rows.groupby(["channel", "age_months"])[name].std().dropna())
    spread = np.concatenate(shrunk).mean() / np.concatenate(observed).mean()
    assert spread < 0.5
    p = np.concatenate(chances)
    assert len(p) > 60
    assert abs(p.mean() - 0.5) < 0.08
    assert np.mean((p < 0.1) | (p > 0.9)) < 0.12
