"""What a backtest has tested, in the table of a forecast."""

import numpy as np
import pytest

import clv_forecast as clv
from clv_forecast.forecasting.adjustments import Evidence

HORIZONS = ["6 months", "12 months", "36 months"]
TESTED = Evidence(longest_years=1.0, horizons=((0.5, "failed"), (1.0, "backtested")), sentence="A year was tested.")


def tables(model, history, **options):
    table = clv.forecast(model, history, horizons=HORIZONS, draws=100, evidence=TESTED, **options).customers
    return [table[table["horizon"] == horizon].reset_index(drop=True) for horizon in HORIZONS]


def test_horizons_have_their_words_and_the_share_beyond(model, history):
    six, twelve, long = tables(model, history)
    for table, word in ((six, "failed"), (twelve, "backtested"), (long, "extrapolated")):
        assert (table["evidence"] == word).all()
    assert (six["share_beyond_tested"] == 0.0).all() and (twelve["share_beyond_tested"] == 0.0).all()
    assert long["share_beyond_tested"].to_numpy() == pytest.approx(1.0 - (twelve["value"] / long["value"]).to_numpy())
    assert long["share_beyond_tested"].between(0.2, 0.9).all()


def test_a_share_is_a_share_or_missing(model, history):
    """With costs a customer may lose money now and earn it later: then nothing is a share of the sum."""
    _, twelve, long = tables(model, history, cost_to_serve=5.0)
    within, whole = twelve["value"].to_numpy(), long["value"].to_numpy()
    mixed = (whole - within) * within < 0.0
    assert 3 < mixed.sum() < 0.2 * len(mixed) and (whole < 0.0).any()
    assert np.isnan(long["share_beyond_tested"][mixed]).all()
    assert long["share_beyond_tested"][~mixed].between(0.0, 1.0).all()
