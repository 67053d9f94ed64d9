"""What a certificate tells a forecast of its horizons."""

import pytest

from clv_forecast.evaluation.verdict import BandStatus, evidence_of
from clv_forecast.evaluation.windows import Lengths
from clv_forecast.forecasting.horizons import Horizons


def trusted(horizon):
    return BandStatus(
        horizon=horizon, quantity="purchases", group="all", subject="customers", status="trusted", coverage=0.9,
        standard_error=0.001, level_for_90=0.9, windows=3, independent=3,
    )  # fmt: skip


@pytest.mark.parametrize("horizon", ["39 weeks", "6 months", "12 months", "1 year", "100 days"])
def test_a_horizon_tested_is_backtested_under_its_own_name(horizon):
    """A window has whole days (a year 365), the horizon of that name a fraction more: it is the one that was tested."""
    evidence = evidence_of([trusted(horizon)], Lengths.parse(horizon), "BG/NBD")
    (years,) = Horizons.parse(horizon).years
    assert evidence.of(years) == "backtested" and evidence.longest_years == years
    assert evidence.of(years * 1.01) == "extrapolated"


def test_each_horizon_keeps_its_word():
    lengths = Lengths.parse(["6 months", "12 months"])
    short, long = Horizons.parse(["6 months", "12 months"]).years
    evidence = evidence_of([trusted("6 months")], lengths, "BG/NBD")
    assert evidence.of(short) == "backtested" and evidence.of(long) == "extrapolated"
    assert "6 months (backtested)" in evidence.sentence
