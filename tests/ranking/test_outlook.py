"""The outlook against the forecast's own tables, by a second way to each number."""

from __future__ import annotations

import numpy as np
import pytest

from clv_forecast.ranking.outlook import outlook_of
from tests.ranking.conftest import Base


def at(base: Base, horizon: str):
    table = base.forecast.customers
    return table[table["horizon"] == horizon].reset_index(drop=True)


def test_means_are_those_of_the_forecast(base: Base) -> None:
    found, table = outlook_of(base.forecast.plan, 0.5), at(base, "6 months")
    assert found.p_alive == pytest.approx(table["p_alive"].to_numpy(), rel=2e-2, abs=1e-3)
    assert found.revenue == pytest.approx(table["revenue"].to_numpy(), rel=3e-2, abs=20.0)
    assert found.value.sum() == pytest.approx(table["value"].sum(), rel=1e-2)


def test_given_alive_times_p_alive_is_the_forecast(base: Base) -> None:
    found, table = outlook_of(base.forecast.plan, 1.0), at(base, "12 months")
    sure = table["p_alive"].to_numpy() > 0.9  # else draws of P(alive) and of revenue given alive go together
    product = found.annual_revenue[sure] * table["p_alive"].to_numpy()[sure]
    assert product == pytest.approx(table["revenue"].to_numpy()[sure], rel=2e-2)
    assert (found.annual_revenue >= found.revenue * (1.0 - 1e-9)).all()


def test_a_dying_account_has_the_same_future_given_alive(base: Base) -> None:
    plan = base.forecast.plan
    alive = plan.known_alive()
    assert (alive.recency[plan.frequency > 0] == plan.T[plan.frequency > 0]).all()
    first, second = outlook_of(plan, 1.0), outlook_of(alive, 1.0)
    assert first.annual_revenue == pytest.approx(second.annual_revenue, rel=1e-12)
    assert (second.p_alive >= first.p_alive - 1e-12).all()
    assert first.value_at_risk.sum() > second.value_at_risk.sum()


def test_contribution_is_margin_less_cost_discounted(base: Base) -> None:
    found = outlook_of(base.forecast.plan, 1.0)
    even = (1.0 - 1.0 / 1.1) / np.log(1.1)
    assert found.contribution == pytest.approx(base.forecast.plan.margin * even, rel=1e-9)


def test_spread_is_that_of_predictive_draws(base: Base) -> None:
    found = outlook_of(base.forecast.plan, 1.0)
    ids = base.history.table["customer_id"].tolist()[:50]
    drawn = base.forecast.value_draws(ids, ["12 months"]).revenue[:, :, 0].std(axis=0)
    ratio = found.revenue_sd[:50][drawn > 0] / drawn[drawn > 0]
    assert 0.9 < np.median(ratio) < 1.1


def test_fewer_draws_keep_each_part(base: Base) -> None:
    plan = base.forecast.plan
    assert plan.fewer_draws(50).draws == 50
    assert plan.fewer_draws(10_000) is plan
