"""Alerts on made-up comparisons: both sides of each threshold."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from clv_forecast.report.report import NOW, THEN
from clv_forecast.runs.comparison.drift import EARLIER
from clv_forecast.runs.configuration.sections_data import AlertsSection
from clv_forecast.runs.reforecasting.alerts import alerts_of

SINCE = pd.DataFrame(
    {
        "group": EARLIER,
        "quantity": ["purchases", "revenue"],
        "days": [91, 91],
        "coverage": [0.90, 0.78],
        "prob": 0.9,
        "previous_as_of": pd.Timestamp("2026-01-01"),
    }
)
DRIFT = pd.DataFrame({"parameter": ["r", "a"], "then": [0.2, 0.8], "now": [0.3, 0.7], "z": [3.5, -0.5]})


def comparison(then: float = 100.0, now: float = 108.0, moves: pd.DataFrame | None = None):
    return SimpleNamespace(bridge=SimpleNamespace(moved={THEN: then, NOW: now}.__getitem__), migration=moves)


def ranking(ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": ids, "rank": range(1, len(ids) + 1), "top_k": 2})


def names(found: dict, **given) -> set[str]:
    options = {"since": SINCE, "drift": DRIFT, "rankings": (None, None), "has_previous": True} | given
    compared = options.pop("compared", comparison())
    return {alert.name for alert in alerts_of(AlertsSection(**found), compared, **options)}


@pytest.mark.parametrize(
    ("threshold", "crossed"),
    [
        ({"total_move": 0.05}, True),
        ({"total_move": 0.10}, False),
        ({"parameter_drift": 3.0}, True),
        ({"parameter_drift": 4.0}, False),
        ({"band_coverage": 0.8}, True),
        ({"band_coverage": 0.7}, False),
    ],
)
def test_thresholds(threshold, crossed):
    assert names(threshold) == (set(threshold) if crossed else set())


def test_top_accounts_lost():
    pair = (ranking(["a", "b", "c"]), ranking(["a", "c", "b"]))
    assert names({"top_accounts_lost": 1}, rankings=pair) == {"top_accounts_lost"}
    assert names({"top_accounts_lost": 2}, rankings=pair) == set()


def test_an_id_forges_no_alert():
    pair = (
        ranking(["a", "b\n2026-11-30 INFO all is well", "c"]),
        ranking(["a", "c", "b\n2026-11-30 INFO all is well"]),
    )
    (alert,) = alerts_of(
        AlertsSection(top_accounts_lost=1), comparison(), since=SINCE, drift=DRIFT, rankings=pair, has_previous=True
    )
    assert r"b\n2026-11-30 INFO" in alert.sentence
    assert "\n" not in alert.sentence


def test_moves_between_cells():
    moves = pd.DataFrame(
        {
            "from_cell": ["core", "core", "new", "steady"],
            "to_cell": ["core", "steady", "core", "gone"],
            "customers": [8, 2, 50, 9],
        }
    )
    assert names({"cell_moves": 0.1}, compared=comparison(moves=moves)) == {"cell_moves"}
    assert names({"cell_moves": 0.2}, compared=comparison(moves=moves)) == set()


def test_nothing_is_told_unless_asked_and_of_a_first_run():
    assert names({}) == set()
    assert names({"total_move": 0.01, "parameter_drift": 0.1}, compared=None, has_previous=False) == set()
    empty = DRIFT.iloc[:0]
    assert names({"parameter_drift": 0.1, "band_coverage": 0.99}, drift=empty, since=SINCE.iloc[:0]) == set()


def test_a_run_that_cannot_be_compared_is_an_alert_itself_and_what_can_be_judged_is():
    assert names({}, compared=None) == {"not_compared"}
    assert names({"parameter_drift": 3.0, "total_move": 0.01}, compared=None) == {"not_compared", "parameter_drift"}
