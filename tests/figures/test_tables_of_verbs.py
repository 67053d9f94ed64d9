"""The figures take the tables that the verbs make, as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clv_forecast as clv
from clv_forecast import figures
from clv_forecast.evaluation.backtest import backtest
from clv_forecast.evaluation.customer_path import customer_path
from clv_forecast.evaluation.fit_tables import heterogeneity, purchase_frequencies, recency_frequency_matrix
from clv_forecast.inference.recipe import Recipe
from clv_forecast.runs.comparison.drift import EARLIER, came_since
from clv_forecast.runs.comparison.value_bridge import value_bridge
from tests.runs.comparison.snapshots import after, before


@pytest.fixture(scope="module")
def history() -> clv.PurchaseHistory:
    log = clv.load_cdnow("1/10")
    kept = log[log["customer_id"].isin(log["customer_id"].unique()[::8])]
    return clv.purchase_history(kept, as_of="1998-06-30", unit="week", currency="USD", observed_from="1997-01-01")


@pytest.fixture(scope="module")
def model(history: clv.PurchaseHistory) -> clv.Model:
    return clv.fit(history, draws=100, compare=False)


def test_tables_of_a_fit(model: clv.Model, history: clv.PurchaseHistory) -> None:
    table = purchase_frequencies(model, history)
    bars = [bar.get_height() for bar in figures.draw_purchase_frequencies(table).patches]
    assert bars == table["customers"].tolist()
    cells = recency_frequency_matrix(model, T=39, horizon="39 weeks", max_frequency=5, steps=13)
    for draw in (figures.draw_p_alive_matrix, figures.draw_expected_purchases_matrix):
        assert draw(cells).collections[0].get_array().shape == (6, 14)
    spread = heterogeneity(model)
    for quantity in spread["quantity"].unique():
        assert quantity in figures.draw_heterogeneity(spread, quantity=quantity).get_xlabel()


def test_a_customers_path(model: clv.Model, history: clv.PurchaseHistory) -> None:
    table = history.table
    for customer in (table.loc[table["frequency"].idxmax(), "customer_id"], table["customer_id"].iloc[0]):
        path = customer_path(model, history, customer, horizon="13 weeks", draws=100)
        ax = figures.draw_customer_alive(path)
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), path.loc[path["when"] == "past", "p_alive"])
        figures.draw_customer_purchases(path).figure.canvas.draw()


def test_totals_of_a_forecast(model: clv.Model, history: clv.PurchaseHistory) -> None:
    fc = clv.forecast(model, history, horizons=["13 weeks", "39 weeks"], draws=100)
    shown = figures.draw_totals(fc.totals).lines[0].get_xdata()
    assert shown.tolist() == fc.totals["value"].tolist()


@pytest.fixture(scope="module")
def certificate(history: clv.PurchaseHistory) -> Any:
    return backtest(
        history, origins=["1997-09-30", "1997-12-30"], horizon=["13 weeks"], recipe=Recipe(), draws=100, workers=1
    )


@pytest.mark.parametrize("quantity", ["purchases", "revenue"])
def test_tables_of_a_certificate(certificate: Any, quantity: str) -> None:
    for draw, table in (
        (figures.draw_calibration, certificate.calibration),
        (figures.draw_pit, certificate.pit),
        (figures.draw_deciles, certificate.deciles),
    ):
        for origin in (None, "1997-09-30"):
            assert draw(table, quantity=quantity, origin=origin).has_data()
    rows = certificate.tracking[certificate.tracking["quantity"] == quantity]
    ax = figures.draw_tracking(certificate.tracking, quantity=quantity, cumulative=False, origin="1997-12-30")
    assert ax.lines[1].get_ydata().tolist() == rows.loc[rows["origin"] == "1997-12-30", "actual"].tolist()


def test_holdout_by_frequency_of_a_certificate(certificate: Any) -> None:
    table: pd.DataFrame = certificate.by_frequency
    bars = [bar.get_height() for bar in figures.draw_holdout_by_frequency(table).patches]
    assert bars == table.loc[table["origin"] == "1997-12-30", "actual"].tolist()


@pytest.mark.slow
def test_tables_of_a_ranking() -> None:
    """Of two days, with potential: every figure takes what the verbs make."""
    made = clv.simulate_accounts(250, rng=2)
    rankings = []
    for day in (made.as_of - pd.Timedelta(days=180), made.as_of):
        history = clv.purchase_history(made.transactions, as_of=day, customers=made.accounts, order_id="order_id")
        fc = clv.forecast(clv.fit(history, draws=100, compare=False), history, horizons=["12 months"], draws=100)
        potential = clv.potential(history, fc, accounts=made.accounts, horizon="12 months")
        rankings.append(clv.rank(fc, accounts=made.accounts, potential=potential, horizon="12 months", draws=100))
    before, ranking = rankings
    bands = figures.draw_rank_bands(ranking.table, top=10)
    np.testing.assert_array_equal(bands.lines[0].get_xdata(), ranking.table["adjusted_value"].iloc[:10])
    assert figures.draw_value_potential(ranking.table).collections[0].get_offsets().shape == (len(ranking.table), 2)
    cells = figures.draw_matrix(ranking.matrix, quantity="headroom")
    assert np.asarray(cells.collections[0].get_array()).sum() == pytest.approx(ranking.matrix["headroom"].sum())
    curves = figures.draw_lorenz(ranking.lorenz)
    assert len(curves.get_legend().get_texts()) == ranking.lorenz["measure"].nunique()
    moved = clv.migration(before.table, ranking.table)
    figures.draw_migration(moved).figure.canvas.draw()
    assert moved["change"].sum() == pytest.approx(ranking.table["value"].sum() - before.table["value"].sum())


def test_tables_of_two_runs() -> None:
    steps = value_bridge(before(), after()).steps
    bars = [bar.get_width() for bar in figures.draw_value_bridge(steps).patches]
    assert bars == pytest.approx(steps.loc[steps["value"] != 0.0, "value"].tolist())
    since = came_since(before(), after())
    for quantity in ("purchases", "revenue"):
        rows = since[since["quantity"] == quantity]
        ax = figures.draw_run_bands(rows)
        assert ax.lines[0].get_ydata().tolist() == rows.loc[rows["group"] == EARLIER, "expected"].tolist()
